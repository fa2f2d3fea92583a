import type { AttentionInputs, Float64Tensor, StorageType } from "../../runtime/contract/index.ts";
import { referenceForward } from "../../runtime/reference/index.ts";
import { drawInputs, drawParameters } from "./draw.ts";
import type { KnownCase } from "./known-case.ts";
import { pipelineOf } from "./pipelines.ts";

// Positions of row 0 at the end of 32 bits, where sums with rows, windows and kernels would turn over.

/** Attentions whose kernels add to positions in every way there is. */
export const FAR_SPECS = [
  "mask causal scores { conv 3x5 }",
  "mask causal window 16777216 weights { conv 3x3 }",
  "mask window 4 scores { conv 2x3 } weights { mix 2 }",
  "mask causal lengths scores { mix 2 }",
] as const;

/** Further than any key. What is seen from there is what is seen from just beyond the last key and window. */
export const FAR_POSITIONS = [2 ** 31 - 1, 2 ** 31 - 2 ** 24] as const;

/** A call whose second batch entry stands at `position`: devices get that, the reference one nearby from which the same is seen. */
export function farCase(mask: string, position: number, dtype: StorageType = "f32"): KnownCase {
  const pipeline = pipelineOf(`attention far { heads 2 head_dim 32 dtype ${dtype} ${mask} }`, "far");
  const shape = { B: 2, Lq: 9, Lk: 20, R: 0 };
  const near = 2 ** 24 + 100;
  const drawn = drawInputs(pipeline, shape, false, 5);
  const at = (first: number): AttentionInputs<Float64Tensor> => ({
    ...drawn,
    positions: { shape: [2], data: Float64Array.of(11, first) },
  });
  const parameters = drawParameters(pipeline, 5);
  return {
    pipeline,
    shape,
    parameters,
    inputs: at(position),
    expected: referenceForward(pipeline, parameters, at(near)),
  };
}
