/**
 * The uniform block that every kernel gets, one word a field, in this order. The first part describes the call; the
 * fields after `batch` (DISPATCH_FIELDS) differ from dispatch to dispatch and are given by the plan's steps.
 * Strides count elements. `*_at` are word offsets into the `parameters` buffer, where the integer inputs follow the
 * parameters.
 */
export const CALL_FIELDS = [
  ["batches", "u32"],
  ["query_rows", "i32"],
  ["key_rows", "i32"],
  ["history_rows", "i32"],
  ["q_stride_b", "u32"],
  ["q_stride_h", "u32"],
  ["q_stride_l", "u32"],
  ["q_history_stride_b", "u32"],
  ["q_history_stride_h", "u32"],
  ["q_history_stride_l", "u32"],
  ["k_stride_b", "u32"],
  ["k_stride_h", "u32"],
  ["k_stride_l", "u32"],
  ["v_stride_b", "u32"],
  ["v_stride_h", "u32"],
  ["v_stride_l", "u32"],
  ["o_stride_b", "u32"],
  ["o_stride_h", "u32"],
  ["o_stride_l", "u32"],
  ["bias_stride_b", "u32"],
  ["bias_stride_h", "u32"],
  ["bias_stride_l", "u32"],
  /** 1 where the call gives `positions`. */
  ["has_positions", "u32"],
  ["positions_at", "u32"],
  ["lengths_at", "u32"],
  ["documents_at", "u32"],
  /** 1 − λ(layer); 1 where the pipeline has no depth_scale. */
  ["depth_scale", "f32"],
] as const;

/** The fields of the launch block that differ between the dispatches of a call. */
export const DISPATCH_FIELDS = [
  /** The first batch entry of the dispatch. */
  ["batch", "u32"],
  /** The first tile of the dispatch along the rows. */
  ["first_tile", "u32"],
  /** Rows [row_begin, row_end) that the dispatch writes; negative rows are history. */
  ["row_begin", "i32"],
  ["row_end", "i32"],
  /** Row that lies first in the maps of the strip. */
  ["strip_row", "i32"],
  /** Keys [key_begin, key_end) that the strip can see. */
  ["key_begin", "i32"],
  ["key_end", "i32"],
  /** Elements between two rows, and between two heads, of a map. */
  ["map_row_stride", "u32"],
  ["map_head_stride", "u32"],
  /** Rows of history whose statistics are kept before row 0. */
  ["statistics_history", "i32"],
] as const;

/** The launch block: a call's fields, then a dispatch's. */
export const LAUNCH_FIELDS = [...CALL_FIELDS, ...DISPATCH_FIELDS];

/** Fields that only targets need whose integer inputs follow the parameters in one buffer. */
const WORD_OFFSETS: ReadonlySet<string> = new Set(["positions_at", "lengths_at", "documents_at"]);

/**
 * The fields of CUDA's `struct Launch`, which every kernel takes by value as its first parameter: as LAUNCH_FIELDS, but integer
 * inputs are pointers of their own there.
 */
export const CUDA_LAUNCH_FIELDS = LAUNCH_FIELDS.filter(([name]) => !WORD_OFFSETS.has(name));

/** Bytes of CUDA's `struct Launch`: four a field, no padding. */
export const CUDA_LAUNCH_BYTES = CUDA_LAUNCH_FIELDS.length * 4;

/** The name of a field that all dispatches of a call share. */
export type CallField = (typeof CALL_FIELDS)[number][0];
/** The name of a field of one dispatch. */
export type DispatchField = (typeof DISPATCH_FIELDS)[number][0];

/** Bytes of the block (WGSL uniform address space: a multiple of 16). */
export const LAUNCH_BYTES = Math.ceil((LAUNCH_FIELDS.length * 4) / 16) * 16;

/** Writes the fields at `at`, a word each; a field without a value is 0. Little-endian, as the memory of all targets is. */
export function writeFields(
  view: DataView,
  at: number,
  fields: readonly (readonly [name: string, type: "u32" | "i32" | "f32"])[],
  values: Readonly<Record<string, number>>,
): void {
  fields.forEach(([name, type], field) => {
    const value = values[name] ?? 0;
    switch (type) {
      case "u32":
        view.setUint32(at + field * 4, value, true);
        break;
      case "i32":
        view.setInt32(at + field * 4, value, true);
        break;
      case "f32":
        view.setFloat32(at + field * 4, value, true);
        break;
    }
  });
}
