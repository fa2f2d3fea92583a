import type { MixStage } from "../contract/index.ts";
import { accumulate, addScaled, dot } from "./vector.ts";
import { hideInvisible, mapSize, type Sight } from "./visibility.ts";

/** Calls back for each pair of heads in a group: W[⌊o/G⌋, o mod G, n] has index `weight`. */
function forEachPair(
  stage: MixStage,
  heads: number,
  visit: (weight: number, out: number, from: number) => void,
): void {
  const { group } = stage;
  for (let out = 0; out < heads; out += 1) {
    const first = group * Math.floor(out / group);
    for (let n = 0; n < group; n += 1) visit(out * group + n, out, first + n);
  }
}

/** Y[o] = Σ_n W[⌊o/G⌋, o mod G, n] · S[G·⌊o/G⌋ + n] (paper section 3.2). Maps [H, R + Lq, Lk]; weight [H/G, G, G]. */
export function mix(stage: MixStage, weight: Float64Array, source: Float64Array, sight: Sight): Float64Array {
  const target = new Float64Array(mapSize(sight));
  const entries = sight.rows * sight.keys;
  forEachPair(stage, sight.heads, (at, out, from) => {
    addScaled(target, out * entries, source, from * entries, entries, weight[at] ?? 0);
  });
  return hideInvisible(target, sight);
}

/** Adjoint of `mix`: gives dS, and adds to the gradient of the weight. */
export function mixAdjoint(
  stage: MixStage,
  weight: Float64Array,
  source: Float64Array,
  dTarget: Float64Array,
  sight: Sight,
  dWeight: Float64Array,
): Float64Array {
  const dSource = new Float64Array(mapSize(sight));
  const entries = sight.rows * sight.keys;
  forEachPair(stage, sight.heads, (at, out, from) => {
    addScaled(dSource, from * entries, dTarget, out * entries, entries, weight[at] ?? 0);
    accumulate(dWeight, at, dot(dTarget, out * entries, source, from * entries, entries));
  });
  return hideInvisible(dSource, sight);
}
