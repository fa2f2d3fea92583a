import type { Pipeline } from "../contract/index.ts";
import type { Entry } from "./call.ts";
import { accumulate, allFinite, dot } from "./vector.ts";
import { hideInvisible, sightEntry } from "./visibility.ts";

/**
 * A = softmax or sparsemax of Z = S + bias over the visible keys of each row (step 3), into a target that is 0 wherever it
 * is not visible; 0 for a row that sees none. Writes lse [H, R + Lq], history rows included. A row with a logit that is
 * not finite becomes NaN as a whole.
 */
export function normalise(entry: Entry, scores: Float64Array, target: Float64Array, lse: Float64Array): void {
  const { sight, bias } = entry;
  const { heads, rows, keys, runs, firstRun } = sight;
  const logits = new Float64Array(keys);
  for (let head = 0; head < heads; head += 1) {
    for (let row = 0; row < rows; row += 1) {
      const start = (head * rows + row) * keys;
      const biasStart = bias === null ? 0 : bias.start + head * bias.headStride + row * keys;
      const at = sightEntry(sight, head, row);
      const first = firstRun[at] ?? 0;
      const last = firstRun[at + 1] ?? 0;
      let count = 0;
      for (let run = first; run < last; run += 1) {
        const end = runs[2 * run + 1] ?? 0;
        for (let key = runs[2 * run] ?? 0; key < end; key += 1) {
          logits[count] = scores[start + key] ?? 0;
          if (bias !== null) accumulate(logits, count, bias.data[biasStart + key] ?? 0);
          count += 1;
        }
      }
      lse[head * rows + row] = normaliseRow(entry.call.pipeline.normalize, logits.subarray(0, count));
      count = 0;
      for (let run = first; run < last; run += 1) {
        const end = runs[2 * run + 1] ?? 0;
        for (let key = runs[2 * run] ?? 0; key < end; key += 1) {
          target[start + key] = logits[count] ?? 0;
          count += 1;
        }
      }
    }
  }
}

/** Turns the visible logits of a row into weights, in place; returns log Σ exp. */
function normaliseRow(kind: Pipeline["normalize"], logits: Float64Array): number {
  if (logits.length === 0) return Number.NEGATIVE_INFINITY;
  if (!allFinite(logits, 0, logits.length)) {
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
  let largest = Number.NEGATIVE_INFINITY;
  for (let n = 0; n < values.length; n += 1) largest = Math.max(largest, values[n] ?? 0);
  return largest;
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
 * Adjoint of `normalise`: dS (and dZ, which is the same) from dA, into a target that is 0 wherever it is not visible.
 * Softmax: A · (dA − Σ A·dA). Sparsemax: dA less its mean over the support p > 0, on the support.
 */
export function normaliseAdjoint(
  entry: Entry,
  weights: Float64Array,
  dWeights: Float64Array,
  dScores: Float64Array,
): void {
  const { sight } = entry;
  const { heads, rows, keys } = sight;
  for (let head = 0; head < heads; head += 1) {
    for (let row = 0; row < rows; row += 1) {
      const start = (head * rows + row) * keys;
      const at = sightEntry(sight, head, row);
      const begin = sight.begin[at] ?? 0;
      const end = sight.end[at] ?? 0;
      if (begin >= end) continue;
      const visible = weights.subarray(start + begin, start + end);
      const dVisible = dWeights.subarray(start + begin, start + end);
      const into = dScores.subarray(start + begin, start + end);
      switch (entry.call.pipeline.normalize) {
        case "softmax":
          softmaxAdjoint(visible, dVisible, into);
          break;
        case "sparsemax":
          sparsemaxAdjoint(visible, dVisible, into);
          break;
      }
      hideInvisible(dScores, sight, head, row, begin, end);
    }
  }
}

/** Adds dZ to the gradient of the bias, which several heads, and batch entries, may share. */
export function biasAdjoint({ sight }: Entry, dLogits: Float64Array, into: NonNullable<Entry["bias"]>): void {
  const { heads, rows, keys } = sight;
  const size = rows * keys;
  for (let head = 0; head < heads; head += 1) {
    const start = into.start + head * into.headStride;
    for (let n = 0; n < size; n += 1) accumulate(into.data, start + n, dLogits[head * size + n] ?? 0);
  }
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
    into[key] = row[key] === 0 ? 0 : (dRow[key] ?? 0) - sum / support;
  }
}
