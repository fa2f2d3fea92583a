import { type Pointwise, pointwiseOperands } from "../../runtime/contract/index.ts";
import type { Range } from "./ranges.ts";

/** What the language says of one pointwise stage. */
interface PointwiseWord<Stage> {
  /** The number that follows the word, or null where none does. */
  readonly operand: { readonly range: Range; readonly example: number } | null;
  /** The stage, given that number. */
  readonly make: (operand: number) => Stage;
  /** How it is written: `softcap X`. */
  readonly usage: string;
  /** One sentence, in Markdown. */
  readonly meaning: string;
  /** What it does to an entry s, given that number, as a formula. */
  readonly formula: (operand: number) => string;
}

type PointwiseWords = {
  readonly [Kind in Pointwise["kind"]]: PointwiseWord<Extract<Pointwise, { kind: Kind }>>;
};

/**
 * Stages of `scores` that change each entry by itself, in the order in which messages list them: grammar, checks, formatter, editor and
 * `explain` read this table. It names every stage that the contract's `PointwiseStage` has.
 */
export const POINTWISE: PointwiseWords = {
  softcap: {
    operand: { range: { min: 1e-3, max: 1e6, integer: false }, example: 50 },
    make: (limit) => ({ kind: "softcap", limit }),
    usage: "softcap X",
    meaning: "Bounds the scores softly: X · tanh(s / X).",
    formula: (limit) => `${limit} · tanh(s / ${limit})`,
  },
  relu: {
    operand: null,
    make: () => ({ kind: "relu" }),
    usage: "relu",
    meaning: "Cuts negative scores off: max(0, s).",
    formula: () => "max(0, s)",
  },
};

export type PointwiseKind = keyof PointwiseWords;

export const POINTWISE_KINDS = Object.keys(POINTWISE) as readonly PointwiseKind[];

/** What a pointwise stage does to an entry s, as a formula. */
export function pointwiseFormula(stage: Pointwise): string {
  const [operand = 0] = pointwiseOperands(stage);
  return POINTWISE[stage.kind].formula(operand);
}
