import type { Pipeline } from "../contract/index.ts";
import type { Entry } from "./call.ts";
import { dot } from "./vector.ts";
import { mapSize, sightEntry } from "./visibility.ts";

/**
 * A = softmax or sparsemax of Z = S + bias over the visible keys of each row (step 3); 0 for a row that sees none.
 * Writes lse [H, R + Lq], history rows included. A row with a logit that is not finite becomes NaN as a whole.
 */
export function normalise(entry: Entry, scores: Float64Array, lse: Float64Array): Float64Array {
  const { sight, bias } = entry;
  const { heads, rows, keys } = sight;
  const weights = new Float64Array(mapSize(sight));
  const logits = new Float64Array(keys);
  const visible = new Int32Array(keys);
  for (let head = 0; head < heads; head += 1) {
    for (let row = 0; row < rows; row += 1) {
      const start = (head * rows + row) * keys;
      const biasStart = bias === null ? 0 : bias.start + head * bias.headStride + row * keys;
      const at = sightEntry(sight, head, row);
      let count = 0;
      for (let key = sight.begin[at] ?? 0; key < (sight.end[at] ?? 0); key += 1) {
        if (sight.bits[at * keys + key] === 0) continue;
        logits[count] = (scores[start + key] ?? 0) + (bias?.data[biasStart + key] ?? 0);
        visible[count] = key;
        count += 1;
      }
      const values = logits.subarray(0, count);
      lse[head * rows + row] = normaliseRow(entry.call.pipeline.normalize, values);
      for (let n = 0; n < count; n += 1) weights[start + (visible[n] ?? 0)] = values[n] ?? 0;
    }
  }
  return weights;
}

/** Turns the visible logits of a row into weights, in place; returns log Σ exp. */
function normaliseRow(kind: Pipeline["normalize"], logits: Float64Array): number {
  if (logits.length === 0) return Number.NEGATIVE_INFINITY;
  if (!logits.every(Number.isFinite)) {
    logits.fill(Number.NaN);
    return Number.NaN;
  }
  switch (kind) {
    case "softmax":
      return softmax(logits);
    case "sparsemax":
      return sparsemax(logits);
  }
}

function maximum(values: Float64Array): number {
  return values.reduce((largest, value) => Math.max(largest, value), Number.NEGATIVE_INFINITY);
}

function softmax(logits: Float64Array): number {
  const top = maximum(logits);
  let sum = 0;
  for (let n = 0; n < logits.length; n += 1) {
    const exponential = Math.exp((logits[n] ?? 0) - top);
    logits[n] = exponential;
    sum += exponential;
  }
  for (let n = 0; n < logits.length; n += 1) logits[n] = (logits[n] ?? 0) / sum;
  return top + Math.log(sum);
}

/** Projection onto the simplex: p = max(z − τ, 0) with τ such that Σ p = 1, found on the sorted logits. */
function sparsemax(logits: Float64Array): number {
  const top = maximum(logits);
  const descending = logits.map((value) => value - top).sort();
  descending.reverse();
  let sum = 0;
  let threshold = 0;
  for (let n = 0; n < descending.length; n += 1) {
    const value = descending[n] ?? 0;
    if (1 + (n + 1) * value <= sum + value) break;
    sum += value;
    threshold = (sum - 1) / (n + 1);
  }
  for (let n = 0; n < logits.length; n += 1) logits[n] = Math.max((logits[n] ?? 0) - top - threshold, 0);
  return Number.NaN;
}

/**
 * Adjoint of `normalise`: dS (and dZ, which is the same) from dA. Softmax: A · (dA − Σ A·dA). Sparsemax: dA less its
 * mean over the support p > 0, on the support.
 */
export function normaliseAdjoint(entry: Entry, weights: Float64Array, dWeights: Float64Array): Float64Array {
  const { heads, rows, keys } = entry.sight;
  const dScores = new Float64Array(weights.length);
  for (let start = 0; start < heads * rows * keys; start += keys) {
    const row = weights.subarray(start, start + keys);
    const dRow = dWeights.subarray(start, start + keys);
    const into = dScores.subarray(start, start + keys);
    switch (entry.call.pipeline.normalize) {
      case "softmax":
        softmaxAdjoint(row, dRow, into);
        break;
      case "sparsemax":
        sparsemaxAdjoint(row, dRow, into);
        break;
    }
  }
  return dScores;
}

function softmaxAdjoint(row: Float64Array, dRow: Float64Array, into: Float64Array): void {
  const mean = dot(row, 0, dRow, 0, row.length);
  for (let key = 0; key < row.length; key += 1) into[key] = (row[key] ?? 0) * ((dRow[key] ?? 0) - mean);
}

function sparsemaxAdjoint(row: Float64Array, dRow: Float64Array, into: Float64Array): void {
  let sum = 0;
  let support = 0;
  // "Not 0" rather than "above 0": a NaN row lies in the support whole, and makes its gradient NaN.
  for (let key = 0; key < row.length; key += 1) {
    if (row[key] === 0) continue;
    sum += Number.isNaN(row[key]) ? Number.NaN : (dRow[key] ?? 0);
    support += 1;
  }
  for (let key = 0; key < row.length; key += 1) {
    if (row[key] !== 0) into[key] = (dRow[key] ?? 0) - sum / support;
  }
}
