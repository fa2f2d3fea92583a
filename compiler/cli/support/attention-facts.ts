import type { CallShape, Pipeline } from "../../../runtime/contract/index.ts";
import { compulsoryBytes, forwardOperations, visiblePairs } from "../../ir/index.ts";
import type { CheckedSpec } from "../../language/attention.ts";
import { layersUsing } from "./attention-choice.ts";

/** What there is to say of an attention at a shape, whatever computes it. */
export interface AttentionFacts {
  readonly name: string;
  readonly stacks: readonly {
    readonly stack: string;
    readonly of: number;
    readonly layers: readonly number[];
  }[];
  readonly pipeline: Pipeline;
  readonly shape: CallShape;
  /** (row, key) pairs that are visible without looking at data, over batch and heads. */
  readonly visiblePairs: number;
  /** Operations of the forward pass at least (a multiply-add is two). */
  readonly operations: number;
  readonly compulsoryBytes: number;
}

/** The facts of an attention for a batch of sequences of `length` rows and keys. */
export function attentionFacts(
  spec: CheckedSpec,
  pipeline: Pipeline,
  { batch, length }: { readonly batch: number; readonly length: number },
): AttentionFacts {
  const shape = { B: batch, Lq: length, Lk: length, R: 0 };
  return {
    name: pipeline.name,
    stacks: layersUsing(spec, pipeline.name),
    pipeline,
    shape,
    visiblePairs: visiblePairs(pipeline, shape),
    operations: forwardOperations(pipeline, shape),
    compulsoryBytes: compulsoryBytes(pipeline, shape),
  };
}
