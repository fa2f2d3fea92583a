/**
 * Fields of the launch block that describe the call, one word each. A kernel's block has those that it reads (`KernelPlan.launch`),
 * in this order, then those of the dispatch; CUDA kernels of one plan share one block, which they take by value as their first
 * parameter. Strides count elements. `*_at` are word offsets into the `parameters` buffer, where the integer inputs follow the
 * parameters: on targets where they have no buffers of their own.
 */
export const CALL_FIELDS = [
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
  ["d_o_stride_b", "u32"],
  ["d_o_stride_h", "u32"],
  ["d_o_stride_l", "u32"],
  ["bias_stride_b", "u32"],
  ["bias_stride_h", "u32"],
  ["bias_stride_l", "u32"],
  /** 1 where the call keeps what the output's stages are given: on targets where a buffer is bound even if it does not. */
  ["keeps_values", "u32"],
  /** 1 where the call gives `positions`. */
  ["has_positions", "u32"],
  ["positions_at", "u32"],
  ["lengths_at", "u32"],
  ["documents_at", "u32"],
  ["dropout_seed_at", "u32"],
  /** 1 − λ(layer); 1 where the pipeline has no depth_scale. */
  ["depth_scale", "f32"],
] as const;

/** Fields that differ between the dispatches of a call: the plan's steps give them. */
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
  /** Parts that the keys of a tile's rows are cut into: each leaves results of its own. Rows that are cleared; heads that share a bias. */
  ["parts", "u32"],
  /** Rows of history whose statistics are kept before row 0. */
  ["statistics_history", "i32"],
  /** Rows [own_begin, own_end) of the strip itself, without those around it. */
  ["own_begin", "i32"],
  ["own_end", "i32"],
  /** Parts that are added up; words of a row that is cleared; batch entries of a bias. */
  ["count", "u32"],
] as const;

/** The name of a field that all dispatches of a call share. */
export type CallField = (typeof CALL_FIELDS)[number][0];
/** The name of a field of one dispatch. */
export type DispatchField = (typeof DISPATCH_FIELDS)[number][0];
/** The name of a field of the launch block. */
export type LaunchField = CallField | DispatchField;
/** What a field is; each takes one 32-bit word. */
export type LaunchFieldType = (typeof CALL_FIELDS | typeof DISPATCH_FIELDS)[number][1];

/** Made when it is first asked for: a table that was made at once would be in every bundle. */
let types: ReadonlyMap<string, LaunchFieldType> | null = null;

/** The type of a field. @throws RangeError for a name that is none: a defect of the planner. */
export function launchFieldType(field: string): LaunchFieldType {
  types ??= new Map([...CALL_FIELDS, ...DISPATCH_FIELDS]);
  const type = types.get(field);
  if (type === undefined) throw new RangeError(`the launch block has no field "${field}"`);
  return type;
}

/** Bytes of the block of a kernel that reads these fields: four a field, no padding. */
export function launchBytes(fields: readonly LaunchField[]): number {
  return fields.length * 4;
}

/** The same as a uniform buffer (WGSL uniform address space: a multiple of 16). */
export function uniformBytes(fields: readonly LaunchField[]): number {
  return Math.ceil(launchBytes(fields) / 16) * 16;
}

/** Values of fields; one that is not there is 0. */
export type LaunchValues = Readonly<Partial<Record<LaunchField, number>>>;

/**
 * Writes the fields at `at`, a word each, little-endian, as the memory of all targets is.
 * @param call What all dispatches of a call share.
 */
export function writeFields(
  view: DataView,
  at: number,
  fields: readonly LaunchField[],
  call: LaunchValues,
  dispatch: LaunchValues,
): void {
  fields.forEach((name, field) => {
    const value = dispatch[name] ?? call[name] ?? 0;
    switch (launchFieldType(name)) {
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
