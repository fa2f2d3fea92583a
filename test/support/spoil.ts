import type { AttentionInputs, Float64Tensor } from "../../runtime/contract/index.ts";

/** The inputs with one element of one tensor replaced, in batch entry 0, head 0. */
export function spoil(
  inputs: AttentionInputs<Float64Tensor>,
  tensor: "q" | "k" | "v",
  row: number,
  value: number,
): AttentionInputs<Float64Tensor> {
  const { shape, data } = inputs[tensor];
  const copy = Float64Array.from(data);
  copy[row * (shape[3] ?? 1) + 1] = value;
  return { ...inputs, [tensor]: { shape, data: copy } };
}
