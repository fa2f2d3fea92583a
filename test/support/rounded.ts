import {
  type AttentionInputs,
  type CallShape,
  type Float64Tensor,
  roundTo,
  type StorageType,
} from "../../runtime/contract/index.ts";

export function callShapeOf({ q, k, qHistory }: AttentionInputs<Float64Tensor>): CallShape {
  const [B = 0, , Lq = 0] = q.shape;
  return { B, Lq, Lk: k.shape[2] ?? 0, R: qHistory?.shape[2] ?? 0 };
}

/** The inputs as a device sees them that stores them in fewer bits. */
export function roundInputs(
  inputs: AttentionInputs<Float64Tensor>,
  storage: StorageType,
): AttentionInputs<Float64Tensor> {
  const round = ({ shape, data }: Float64Tensor): Float64Tensor => ({ shape, data: roundTo(storage, data) });
  const { q, k, v, qHistory, ...rest } = inputs;
  return {
    ...rest,
    q: round(q),
    k: round(k),
    v: round(v),
    ...(qHistory === undefined ? {} : { qHistory: round(qHistory) }),
  };
}
