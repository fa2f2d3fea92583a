import type { PointwiseStage } from "./pipeline.ts";

type Unnamed<Stage> = Stage extends unknown ? Omit<Stage, "name" | "source"> : never;

/** What a pointwise stage does to an entry: the stage without its name and place. */
export type Pointwise = Unnamed<PointwiseStage>;

/** A stage as kernels apply it. */
export function pointwiseOf({ name: _name, source: _source, ...what }: PointwiseStage): Pointwise {
  return what;
}

/** A pointwise stage as a spec writes it: `softcap 30`. */
export function spellPointwise(stage: Pointwise): string {
  return [stage.kind, ...pointwiseOperands(stage)].join(" ");
}

/** The numbers that follow a pointwise stage's word, in their order. */
export function pointwiseOperands({ kind: _kind, ...operands }: Pointwise): readonly number[] {
  return Object.values(operands);
}

/**
 * What happens to an entry before it is stored: pointwise stages in their order, then the mask. `zero`: 0 where not visible.
 * `hide`: + bias, and a hidden mark where not visible. `normalize`: exp(z + bias − lse) where visible, else 0.
 */
export interface Finish {
  readonly pointwise: readonly Pointwise[];
  readonly mask: "zero" | "hide" | "normalize";
}

/** Index of a stage: section and position in the pipeline. */
export interface StageIndex {
  readonly section: "scores" | "weights";
  readonly index: number;
}
