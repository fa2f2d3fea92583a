import type { SoftcapStage } from "../contract/index.ts";

/** Y = X · tanh(S/X); 0 stays 0, so that nothing need be hidden again. */
export function softcap(stage: SoftcapStage, source: Float64Array): Float64Array {
  return source.map((value) => stage.limit * Math.tanh(value / stage.limit));
}

/** Adjoint of `softcap`: 1 − tanh² times dY. */
export function softcapAdjoint(
  stage: SoftcapStage,
  source: Float64Array,
  dTarget: Float64Array,
): Float64Array {
  return dTarget.map((gradient, index) => {
    const tanh = Math.tanh((source[index] ?? 0) / stage.limit);
    return gradient * (1 - tanh * tanh);
  });
}
