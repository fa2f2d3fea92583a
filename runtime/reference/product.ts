import type { Entry } from "./call.ts";
import { addProduct, type Matrix, matrixAt } from "./vector.ts";
import { forEachRectangle } from "./visibility.ts";

/** A rectangle of a map in which each row sees each key. */
interface Rectangle {
  /** The first entry's index in the map. */
  readonly pair: number;
  /** The first row, counted over all heads and from the first row asked for on: a row of q (history first) or of o. */
  readonly query: number;
  readonly kvHead: number;
  readonly key: number;
  readonly rows: number;
  readonly keys: number;
}

/** Calls back for all that is visible from firstRow on. What is not is never read, so that no NaN comes from there. */
function forEachProduct(
  { call, sight }: Entry,
  firstRow: number,
  visit: (rectangle: Rectangle) => void,
): void {
  const groupSize = sight.heads / call.pipeline.kvHeads;
  forEachRectangle(sight, firstRow, (head, row, key, rows, keys) => {
    visit({
      pair: (head * sight.rows + row) * sight.keys + key,
      query: head * (sight.rows - firstRow) + row - firstRow,
      kvHead: Math.floor(head / groupSize),
      key,
      rows,
      keys,
    });
  });
}

/** The rows of a matrix [rows, width] from one on. */
function rowsFrom(data: Float64Array, row: number, width: number): Matrix {
  return matrixAt(data, row * width, width);
}

/** Matrices [count, rows, width] as [count, width, rows]. */
function transposed(matrices: Float64Array, count: number, width: number): Float64Array {
  const rows = matrices.length / count / width;
  const result = new Float64Array(matrices.length);
  for (let start = 0; start < matrices.length; start += rows * width) {
    for (let row = 0; row < rows; row += 1) {
      for (let d = 0; d < width; d += 1) {
        result[start + d * rows + row] = matrices[start + row * width + d] ?? 0;
      }
    }
  }
  return result;
}

function multiply(values: Float64Array, factor: number): void {
  for (let n = 0; n < values.length; n += 1) values[n] = factor * (values[n] ?? 0);
}

/** S = scale · q·kᵀ (step 1) where visible, added to a target of zeros: [H, R + Lq, Lk]. */
export function scoresOf(entry: Entry, target: Float64Array): void {
  const { headDim, kvHeads, scale } = entry.call.pipeline;
  const { keys: stride } = entry.sight;
  const columns = transposed(entry.k, kvHeads, headDim);
  multiply(columns, scale);
  forEachProduct(entry, 0, ({ pair, query, kvHead, key, rows, keys }) => {
    const k = matrixAt(columns, kvHead * headDim * stride + key, stride);
    const product = { factors: rowsFrom(entry.q, query, headDim), source: k, count: headDim };
    addProduct(matrixAt(target, pair, stride), product, rows, keys);
  });
}

/** Adjoint of `scoresOf`: dQ [H, R + Lq, D], history first, and dK [Hkv, Lk, D], added to zeros. */
export function scoresAdjoint(entry: Entry, dScores: Float64Array, dQ: Float64Array, dK: Float64Array): void {
  const { headDim, scale } = entry.call.pipeline;
  const { keys: stride } = entry.sight;
  forEachProduct(entry, 0, ({ pair, query, kvHead, key, rows, keys }) => {
    const q = rowsFrom(entry.q, query, headDim);
    const k = rowsFrom(entry.k, kvHead * stride + key, headDim);
    const factors = matrixAt(dScores, pair, stride);
    const swapped = matrixAt(dScores, pair, 1, stride);
    addProduct(rowsFrom(dQ, query, headDim), { factors, source: k, count: keys }, rows, headDim);
    addProduct(
      rowsFrom(dK, kvHead * stride + key, headDim),
      { factors: swapped, source: q, count: rows },
      keys,
      headDim,
    );
  });
  multiply(dQ, scale);
  multiply(dK, scale);
}

/** o = A · v (step 5) for the new rows: [H, Lq, Dv]. */
export function weightedValues(entry: Entry, weights: Float64Array): Float64Array {
  const { pipeline, R, Lq } = entry.call;
  const { heads, valueDim } = pipeline;
  const { keys: stride } = entry.sight;
  const o = new Float64Array(heads * Lq * valueDim);
  forEachProduct(entry, R, ({ pair, query, kvHead, key, rows, keys }) => {
    const factors = matrixAt(weights, pair, stride);
    const v = rowsFrom(entry.v, kvHead * stride + key, valueDim);
    addProduct(rowsFrom(o, query, valueDim), { factors, source: v, count: keys }, rows, valueDim);
  });
  return o;
}

/** Adjoint of `weightedValues`: dA [H, R + Lq, Lk] and dV [Hkv, Lk, Dv], added to zeros. */
export function weightedValuesAdjoint(
  entry: Entry,
  weights: Float64Array,
  dO: Float64Array,
  dWeights: Float64Array,
  dV: Float64Array,
): void {
  const { valueDim, kvHeads } = entry.call.pipeline;
  const { keys: stride } = entry.sight;
  const columns = transposed(entry.v, kvHeads, valueDim);
  forEachProduct(entry, entry.call.R, ({ pair, query, kvHead, key, rows, keys }) => {
    const dRows = rowsFrom(dO, query, valueDim);
    const v = matrixAt(columns, kvHead * valueDim * stride + key, stride);
    const swapped = matrixAt(weights, pair, 1, stride);
    const product = { factors: dRows, source: v, count: valueDim };
    addProduct(matrixAt(dWeights, pair, stride), product, rows, keys);
    const dValues = rowsFrom(dV, kvHead * stride + key, valueDim);
    addProduct(dValues, { factors: swapped, source: dRows, count: rows }, keys, valueDim);
  });
}
