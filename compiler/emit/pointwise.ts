import { type Pointwise, pointwiseOperands, spellPointwise } from "../../runtime/contract/index.ts";

/** A call of the function that applies a pointwise stage to entries: `partials/pointwise` of every language has one of its name. */
export interface PointwiseModel {
  readonly call: string;
  /** What it takes after the entries: `, 30.0`. */
  readonly rest: string;
}

/** @param float A float literal of the language. */
export function pointwiseModel(pointwise: Pointwise, float: (value: number) => string): PointwiseModel {
  const rest = pointwiseOperands(pointwise).map((operand) => `, ${float(operand)}`);
  return { call: pointwise.kind, rest: rest.join("") };
}

/** What comments say of it, before what follows: `softcap 30, `. */
export function pointwiseComment(pointwise: Pointwise): string {
  return `${spellPointwise(pointwise)}, `;
}
