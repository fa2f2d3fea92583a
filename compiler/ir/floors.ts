import {
  BYTES_PER_ELEMENT,
  type CallShape,
  elementCount,
  type Pipeline,
} from "../../runtime/contract/index.ts";
import { keyRanges, rangeKinks } from "./visibility.ts";

/**
 * Pairs (row, key) that some head sees, times B and H. Only what is known without data counts as hidden: causal and
 * windows; `documents`, `lengths` and `bias` hide nothing here, and rows are aligned bottom-right (no `positions`).
 */
export function visiblePairs(pipeline: Pipeline, shape: CallShape): number {
  const range = keyRanges(pipeline, shape);
  const keysOf = (row: number): number => {
    const [low, high] = range(row, row);
    return high - low;
  };
  const kinks = rangeKinks(pipeline, shape);
  const keys = kinks.slice(1).reduce((sum, end, index) => {
    const first = kinks[index] ?? 0;
    return end > first ? sum + ((end - first) * (keysOf(first) + keysOf(end - 1))) / 2 : sum;
  }, 0);
  return keys * shape.B * pipeline.heads;
}

/** Multiply-adds of the forward pass that no implementation avoids: both products, every tap, every mixed head. */
export function floorMultiplyAdds(pipeline: Pipeline, shape: CallShape): number {
  let each = pipeline.headDim + pipeline.valueDim;
  for (const stage of [...pipeline.scores, ...pipeline.weights]) {
    switch (stage.kind) {
      case "conv":
        each += stage.kernel.query * stage.kernel.key * stage.across;
        break;
      case "mix":
        each += stage.group;
        break;
    }
  }
  return visiblePairs(pipeline, shape) * each;
}

/** 2·P·(D + Dv + Σ_conv CQ·CK·across + Σ_mix G): a multiply-add is two operations. */
export function forwardOperations(pipeline: Pipeline, shape: CallShape): number {
  return 2 * floorMultiplyAdds(pipeline, shape);
}

/** Bytes of q, q_history, k, v and o in their storage type and of the parameters in f32, each moved once. */
export function compulsoryBytes(pipeline: Pipeline, shape: CallShape): number {
  const { B, Lq, Lk, R } = shape;
  const { heads, kvHeads, headDim, valueDim } = pipeline;
  const queries = heads * (Lq + R) * headDim;
  const keysAndValues = kvHeads * Lk * (headDim + valueDim);
  const outputs = heads * Lq * valueDim;
  const parameters = pipeline.parameters.reduce((sum, parameter) => sum + elementCount(parameter.shape), 0);
  return B * (queries + keysAndValues + outputs) * BYTES_PER_ELEMENT[pipeline.storage] + 4 * parameters;
}
