import type { StorageType } from "../../runtime/contract/index.ts";
import { referenceForward } from "../../runtime/reference/index.ts";
import { drawInputs, drawParameters } from "./draw.ts";
import type { KnownCase } from "./known-case.ts";
import { pipelineOf } from "./pipelines.ts";

/** Dropouts in every place: alone, before and after what reads neighbours or other heads, and where masks and ragged rows move positions. */
export const DROPOUT_SPECS = [
  "mask causal weights { dropout 0.5 }",
  "mask causal scores { conv 3x5 } weights { dropout 0.3 conv 2x3 dropout 0.25 }",
  "mask causal window 40 scores { mix 2 } weights { conv 2x3 dropout 0.5 mix 2 }",
  "mask causal lengths bias weights { dropout 0.1 mix 2 conv 3x3 }",
  "mask causal documents scores { conv 2x3 mix 2 } weights { dropout 0.5 conv 2x3 }",
] as const;

/** A training call of two entries with rows of history at positions of their own. */
export function dropoutCase(spec: string, dtype: StorageType = "f32"): KnownCase {
  const pipeline = pipelineOf(
    `attention dropping { heads 2 head_dim 32 dtype ${dtype} ${spec} }`,
    "dropping",
  );
  const shape = { B: 2, Lq: 70, Lk: 90, R: 4 };
  const parameters = drawParameters(pipeline, 7);
  const drawn = drawInputs(pipeline, shape, false, 7);
  const inputs = { ...drawn, positions: { shape: [2], data: Float64Array.of(20, 9) } };
  return { pipeline, shape, parameters, inputs, expected: referenceForward(pipeline, parameters, inputs) };
}
