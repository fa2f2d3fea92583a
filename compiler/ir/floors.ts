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

/** Multiply-adds of a visible pair in the stages: every tap, every mixed head. */
function stageMultiplyAdds({ scores, weights }: Pipeline): number {
  return [...scores, ...weights].reduce((sum, stage) => {
    if (stage.kind === "conv") return sum + stage.kernel.query * stage.kernel.key * stage.across;
    return stage.kind === "mix" ? sum + stage.group : sum;
  }, 0);
}

/** Multiply-adds of the forward pass that no implementation avoids: both products, every tap, every mixed head. */
export function floorMultiplyAdds(pipeline: Pipeline, shape: CallShape): number {
  const { headDim, valueDim } = pipeline;
  return visiblePairs(pipeline, shape) * (headDim + valueDim + stageMultiplyAdds(pipeline));
}

/**
 * Multiply-adds of the backward pass that none avoids without keeping maps of Lq × Lk: scores again, gradients of weights, q, k and v, and each
 * stage three times: as in the forward pass, for the gradient of its map, and for that of its own parameters.
 */
export function floorGradientMultiplyAdds(pipeline: Pipeline, shape: CallShape): number {
  const { headDim, valueDim } = pipeline;
  return visiblePairs(pipeline, shape) * (3 * headDim + 2 * valueDim + 3 * stageMultiplyAdds(pipeline));
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
  return (
    B * (queries + keysAndValues + outputs) * BYTES_PER_ELEMENT[pipeline.storage] + 4 * wordsOf(pipeline)
  );
}

/** Bytes of what a backward pass reads, where `d_o` stands for o, and of the gradients that it gives, all of them f32: each moved once. */
export function compulsoryGradientBytes(pipeline: Pipeline, shape: CallShape): number {
  const { B, Lq, Lk, R } = shape;
  const { heads, kvHeads, headDim, valueDim } = pipeline;
  const gradients = heads * (Lq + R) * headDim + kvHeads * Lk * (headDim + valueDim);
  return compulsoryBytes(pipeline, shape) + 4 * (B * gradients + wordsOf(pipeline));
}

function wordsOf({ parameters }: Pipeline): number {
  return parameters.reduce((sum, { shape }) => sum + elementCount(shape), 0);
}
