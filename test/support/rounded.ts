import type { AttentionInputs, CallShape, Float64Tensor } from "../../runtime/contract/index.ts";

export { roundInputs } from "../../runtime/contract/index.ts";

export function callShapeOf({ q, k, qHistory }: AttentionInputs<Float64Tensor>): CallShape {
  const [B = 0, , Lq = 0] = q.shape;
  return { B, Lq, Lk: k.shape[2] ?? 0, R: qHistory?.shape[2] ?? 0 };
}
