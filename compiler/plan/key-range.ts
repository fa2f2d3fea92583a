import { type CallShape, hasMask, type Pipeline } from "../../runtime/contract/index.ts";

/** Keys that rows [first, last] see at most, without data-dependent masks. */
export function keyRange(
  pipeline: Pipeline,
  shape: CallShape,
  first: number,
  last: number,
): [number, number] {
  const offset = shape.Lk - shape.Lq;
  let low = 0;
  let high = shape.Lk;
  if (hasMask(pipeline, "causal")) high = Math.min(high, offset + last + 1);
  const window = pipeline.mask.find((term) => term.kind === "window");
  if (window !== undefined) {
    low = Math.max(low, offset + first - window.size + 1);
    high = Math.min(high, offset + last + window.size);
  }
  return [low, Math.max(low, high)];
}
