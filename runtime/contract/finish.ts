/**
 * What happens to an entry before it is stored. `zero`: 0 where not visible. `hide`: + bias, and a hidden mark where not
 * visible. `normalize`: exp(z + bias − lse) where visible, else 0.
 */
export interface Finish {
  readonly softcaps: readonly number[];
  readonly mask: "zero" | "hide" | "normalize";
}

/** Index of a stage: section and position in the pipeline. */
export interface StageIndex {
  readonly section: "scores" | "weights";
  readonly index: number;
}
