import type { GateStage, NormStage } from "../contract/index.ts";
import { accumulate, addDots, addProduct, dot, matrixAt } from "./vector.ts";

/** 1 / sqrt(mean over Dv of o² + eps) of one row; 0 for an empty row where eps is 0 too. */
function inverseRms(stage: NormStage, row: Float64Array): number {
  const meanSquare = dot(row, 0, row, 0, row.length) / row.length + stage.eps;
  return meanSquare === 0 ? 0 : 1 / Math.sqrt(meanSquare);
}

/** o ← o / rms(o) · weight · factor for each row of o [rows, Dv] (paper section 3.3). */
export function norm(stage: NormStage, weight: Float64Array, factor: number, o: Float64Array): Float64Array {
  const width = weight.length;
  const result = new Float64Array(o.length);
  for (let start = 0; start < o.length; start += width) {
    const scale = inverseRms(stage, o.subarray(start, start + width)) * factor;
    for (let d = 0; d < width; d += 1) result[start + d] = (o[start + d] ?? 0) * scale * (weight[d] ?? 0);
  }
  return result;
}

/** Adjoint of `norm`: gives the gradient of its input, and adds to that of the weight. */
export function normAdjoint(
  stage: NormStage,
  weight: Float64Array,
  factor: number,
  o: Float64Array,
  dResult: Float64Array,
  dWeight: Float64Array,
): Float64Array {
  const width = weight.length;
  const dO = new Float64Array(o.length);
  for (let start = 0; start < o.length; start += width) {
    const inverse = inverseRms(stage, o.subarray(start, start + width));
    let along = 0;
    for (let d = 0; d < width; d += 1) {
      const product = factor * (o[start + d] ?? 0) * (dResult[start + d] ?? 0);
      accumulate(dWeight, d, product * inverse);
      along += product * (weight[d] ?? 0);
    }
    const shrink = (along * inverse ** 3) / width;
    for (let d = 0; d < width; d += 1) {
      const direct = factor * inverse * (weight[d] ?? 0) * (dResult[start + d] ?? 0);
      dO[start + d] = direct - shrink * (o[start + d] ?? 0);
    }
  }
  return dO;
}

function sigmoid(value: number): number {
  return value >= 0 ? 1 / (1 + Math.exp(-value)) : 1 - 1 / (1 + Math.exp(value));
}

/** Gates of the row of o at `start`: sigmoid(o · weightᵀ + bias), one or Dv of them. */
function gatesOf(weight: Float64Array, bias: Float64Array, o: Float64Array, start: number): Float64Array {
  const gates = bias.slice();
  const width = weight.length / bias.length;
  addDots(gates, 0, o, start, matrixAt(weight, 0, width), gates.length, width);
  for (let index = 0; index < gates.length; index += 1) gates[index] = sigmoid(gates[index] ?? 0);
  return gates;
}

/** o ← o · sigmoid(o · weightᵀ + bias) for each row of o [rows, Dv]; weight [1 or Dv, Dv], bias [1 or Dv]. */
export function gate(
  stage: GateStage,
  weight: Float64Array,
  bias: Float64Array,
  o: Float64Array,
): Float64Array {
  const width = weight.length / bias.length;
  const result = new Float64Array(o.length);
  for (let start = 0; start < o.length; start += width) {
    const gates = gatesOf(weight, bias, o, start);
    for (let d = 0; d < width; d += 1)
      result[start + d] = (o[start + d] ?? 0) * (gates[gateOf(stage, d)] ?? 0);
  }
  return result;
}

/** The gate that channel d passes. */
function gateOf(stage: GateStage, channel: number): number {
  switch (stage.mode) {
    case "scalar":
      return 0;
    case "channel":
      return channel;
  }
}

/** Adjoint of `gate`: gives the gradient of its input, and adds to those of weight and bias. */
export function gateAdjoint(
  stage: GateStage,
  weight: Float64Array,
  bias: Float64Array,
  o: Float64Array,
  dResult: Float64Array,
  dWeight: Float64Array,
  dBias: Float64Array,
): Float64Array {
  const count = bias.length;
  const width = weight.length / count;
  const rows = o.length / width;
  const dO = new Float64Array(o.length);
  const dLogits = new Float64Array(rows * count);
  for (let row = 0; row < rows; row += 1) {
    const start = row * width;
    const gates = gatesOf(weight, bias, o, start);
    const dGates = new Float64Array(count);
    for (let d = 0; d < width; d += 1) {
      const through = dResult[start + d] ?? 0;
      dO[start + d] = through * (gates[gateOf(stage, d)] ?? 0);
      accumulate(dGates, gateOf(stage, d), through * (o[start + d] ?? 0));
    }
    for (let index = 0; index < count; index += 1) {
      const open = gates[index] ?? 0;
      const dLogit = (dGates[index] ?? 0) * open * (1 - open);
      dLogits[row * count + index] = dLogit;
      accumulate(dBias, index, dLogit);
    }
  }
  const factors = matrixAt(dLogits, 0, count);
  addProduct(matrixAt(dO, 0, width), { factors, source: matrixAt(weight, 0, width), count }, rows, width);
  const swapped = matrixAt(dLogits, 0, 1, count);
  addProduct(
    matrixAt(dWeight, 0, width),
    { factors: swapped, source: matrixAt(o, 0, width), count: rows },
    count,
    width,
  );
  return dO;
}
