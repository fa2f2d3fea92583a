import { type Pointwise, type PointwiseStage, pointwiseOf, pointwiseOperands } from "../contract/index.ts";

/** A function of one entry, given the number of its stage, and its derivative there. */
interface EntryFunction {
  value(entry: number, operand: number): number;
  slope(entry: number, operand: number): number;
}

/** Every function is 0 at 0, so that what is hidden need not be hidden again. */
const FUNCTIONS: Readonly<Record<Pointwise["kind"], EntryFunction>> = {
  // X · tanh(s / X), and 1 − tanh².
  softcap: {
    value: (entry, limit) => limit * Math.tanh(entry / limit),
    slope: (entry, limit) => 1 - Math.tanh(entry / limit) ** 2,
  },
  // max(0, s), but NaN stays NaN; the slope at 0 is 0.
  relu: {
    value: (entry) => (entry < 0 ? 0 : entry),
    slope: (entry) => (entry > 0 ? 1 : 0),
  },
};

/** A pointwise stage on a map, into a target of the same size. */
export function pointwise(stage: PointwiseStage, source: Float64Array, target: Float64Array): void {
  const { value } = FUNCTIONS[stage.kind];
  const operand = operandOf(stage);
  for (let n = 0; n < source.length; n += 1) target[n] = value(source[n] ?? 0, operand);
}

/** Adjoint of `pointwise`: the slope times dY. */
export function pointwiseAdjoint(
  stage: PointwiseStage,
  source: Float64Array,
  dTarget: Float64Array,
  dSource: Float64Array,
): void {
  const { slope } = FUNCTIONS[stage.kind];
  const operand = operandOf(stage);
  for (let n = 0; n < source.length; n += 1) {
    dSource[n] = (dTarget[n] ?? 0) * slope(source[n] ?? 0, operand);
  }
}

function operandOf(stage: PointwiseStage): number {
  const [operand = 0] = pointwiseOperands(pointwiseOf(stage));
  return operand;
}
