import type { AttentionInputs, CallShape, Float64Tensor, Pipeline } from "../../runtime/contract/index.ts";
import type { ReferenceResult } from "../../runtime/reference/index.ts";

/** A call with what must come out. */
export interface KnownCase {
  readonly pipeline: Pipeline;
  readonly shape: CallShape;
  readonly parameters: ReadonlyMap<string, Float64Tensor>;
  readonly inputs: AttentionInputs<Float64Tensor>;
  readonly expected: ReferenceResult;
}
