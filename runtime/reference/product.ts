import type { Entry } from "./call.ts";
import { addScaled, dot } from "./vector.ts";
import { mapSize, sightEntry } from "./visibility.ts";

/** Calls back for each visible pair: `pair` indexes a map, `query` and `key` the rows of q (history first) and of k or v. */
function forEachVisible(
  entry: Entry,
  firstRow: number,
  visit: (pair: number, query: number, key: number) => void,
): void {
  const { sight } = entry;
  const { heads, rows, keys } = sight;
  const groupSize = heads / entry.call.pipeline.kvHeads;
  for (let head = 0; head < heads; head += 1) {
    const firstKey = Math.floor(head / groupSize) * keys;
    for (let row = firstRow; row < rows; row += 1) {
      const at = sightEntry(sight, head, row);
      const query = head * rows + row;
      const end = sight.end[at] ?? 0;
      for (let key = sight.begin[at] ?? 0; key < end; key += 1) {
        if (sight.bits[at * keys + key] === 1) visit(query * keys + key, query, firstKey + key);
      }
    }
  }
}

/** S = scale · q·kᵀ (step 1) where visible, else 0: [H, R + Lq, Lk]. */
export function scoresOf(entry: Entry): Float64Array {
  const { headDim, scale } = entry.call.pipeline;
  const scores = new Float64Array(mapSize(entry.sight));
  forEachVisible(entry, 0, (pair, query, key) => {
    scores[pair] = scale * dot(entry.q, query * headDim, entry.k, key * headDim, headDim);
  });
  return scores;
}

/** Adjoint of `scoresOf`: adds to dQ [H, R + Lq, D], history first, and to dK [Hkv, Lk, D]. */
export function scoresAdjoint(entry: Entry, dScores: Float64Array, dQ: Float64Array, dK: Float64Array): void {
  const { headDim, scale } = entry.call.pipeline;
  forEachVisible(entry, 0, (pair, query, key) => {
    const factor = scale * (dScores[pair] ?? 0);
    addScaled(dQ, query * headDim, entry.k, key * headDim, headDim, factor);
    addScaled(dK, key * headDim, entry.q, query * headDim, headDim, factor);
  });
}

/** o = A · v (step 5) for the new rows: [H, Lq, Dv]. */
export function weightedValues(entry: Entry, weights: Float64Array): Float64Array {
  const { pipeline, R, Lq } = entry.call;
  const { heads, valueDim } = pipeline;
  const o = new Float64Array(heads * Lq * valueDim);
  forEachVisible(entry, R, (pair, query, key) => {
    addScaled(o, outputRow(entry, query) * valueDim, entry.v, key * valueDim, valueDim, weights[pair] ?? 0);
  });
  return o;
}

/** Adjoint of `weightedValues`: gives dA [H, R + Lq, Lk] and adds to dV [Hkv, Lk, Dv]. */
export function weightedValuesAdjoint(
  entry: Entry,
  weights: Float64Array,
  dO: Float64Array,
  dV: Float64Array,
): Float64Array {
  const { valueDim } = entry.call.pipeline;
  const dWeights = new Float64Array(mapSize(entry.sight));
  forEachVisible(entry, entry.call.R, (pair, query, key) => {
    const out = outputRow(entry, query) * valueDim;
    dWeights[pair] = dot(dO, out, entry.v, key * valueDim, valueDim);
    addScaled(dV, key * valueDim, dO, out, valueDim, weights[pair] ?? 0);
  });
  return dWeights;
}

/** Row of o for a row of q that counts history too. */
function outputRow(entry: Entry, query: number): number {
  const { R, Lq } = entry.call;
  return Math.floor(query / (R + Lq)) * Lq + (query % (R + Lq)) - R;
}
