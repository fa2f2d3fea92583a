import type { Float64Tensor, StorageType } from "../../runtime/contract/index.ts";

/** How far a tensor may lie from the float64 result, ‖x − ref‖ / ‖ref‖ (`semantics.md`, "Numbers"). */
export const TOLERANCES: Readonly<
  Record<StorageType, { readonly forward: number; readonly gradients: number }>
> = {
  f32: { forward: 5e-6, gradients: 2e-5 },
  f16: { forward: 2e-3, gradients: 5e-3 },
  bf16: { forward: 1e-2, gradients: 2e-2 },
};

/** A tensor's error and what it may be. */
export interface TensorError {
  readonly tensor: string;
  readonly error: number;
  readonly bound: number;
  readonly ok: boolean;
}

/**
 * ‖x − ref‖ / ‖ref‖. Equal infinities count as no difference (the lse of a row that sees nothing); anything else that is not
 * finite makes the error infinite.
 *
 * @param least What ‖ref‖ counts as at least.
 */
export function relativeError(tensor: Float64Tensor, reference: Float64Tensor, least = 0): number {
  if (tensor.data.length !== reference.data.length) return Number.POSITIVE_INFINITY;
  let difference = 0;
  let norm = 0;
  for (const [index, value] of tensor.data.entries()) {
    const expected = reference.data[index] ?? 0;
    if (value === expected) {
      if (Number.isFinite(expected)) norm += expected ** 2;
      continue;
    }
    if (!Number.isFinite(value) || !Number.isFinite(expected)) return Number.POSITIVE_INFINITY;
    difference += (value - expected) ** 2;
    norm += expected ** 2;
  }
  if (difference === 0) return 0;
  const size = Math.max(Math.sqrt(norm), least);
  return size === 0 ? Number.POSITIVE_INFINITY : Math.sqrt(difference) / size;
}

export function compareTensors(
  tensors: ReadonlyMap<string, Float64Tensor>,
  reference: ReadonlyMap<string, Float64Tensor>,
  storage: StorageType,
): readonly TensorError[] {
  return [...reference].map(([tensor, expected]) => {
    const bound = tensor.startsWith("d_") ? TOLERANCES[storage].gradients : TOLERANCES[storage].forward;
    const actual = tensors.get(tensor);
    const error = actual === undefined ? Number.POSITIVE_INFINITY : relativeError(actual, expected);
    return { tensor, error, bound, ok: error <= bound };
  });
}

/**
 * The same of gradients alone, by their names in files. A parameter's is a sum over the whole call, whose terms may cancel: what is right for
 * these terms need not be for the little that is left, so that such an error counts beside all gradients.
 */
export function compareGradients(
  tensors: ReadonlyMap<string, Float64Tensor>,
  reference: ReadonlyMap<string, Float64Tensor>,
  storage: StorageType,
): readonly TensorError[] {
  const bound = TOLERANCES[storage].gradients;
  const gradients = [...reference].filter(([name]) => name.startsWith("d_"));
  const all = Math.hypot(...gradients.map(([, { data }]) => sizeOf(data)));
  return gradients.map(([tensor, expected]) => {
    const actual = tensors.get(tensor);
    const least = ROW_GRADIENTS.has(tensor) ? 0 : all;
    const error = actual === undefined ? Number.POSITIVE_INFINITY : relativeError(actual, expected, least);
    return { tensor, error, bound, ok: error <= bound };
  });
}

/** Gradients with rows of their own. */
const ROW_GRADIENTS: ReadonlySet<string> = new Set(["d_q", "d_q_history", "d_k", "d_v"]);

function sizeOf(data: Float64Tensor["data"]): number {
  return Math.sqrt(data.reduce((sum, value) => sum + value ** 2, 0));
}
