import type {
  ConvStage,
  FusedProgram,
  MixStage,
  Pipeline,
  Region,
  StageIndex,
} from "../../runtime/contract/index.ts";

/** The convolution that a program names. @throws RangeError where the pipeline has none there: a defect of the planner */
export function convAt(pipeline: Pipeline, { section, index }: StageIndex): ConvStage {
  const stage = pipeline[section][index];
  if (stage?.kind === "conv") return stage;
  throw new RangeError(`the plan names ${section} ${index}, which is no convolution`);
}

/** The same for a mix. */
export function mixAt(pipeline: Pipeline, { section, index }: StageIndex): MixStage {
  const stage = pipeline[section][index];
  if (stage?.kind === "mix") return stage;
  throw new RangeError(`the plan names ${section} ${index}, which is no mix`);
}

/** The same for a region of a fused kernel. */
export function regionAt({ regions }: FusedProgram, index: number): Region {
  const region = regions[index];
  if (region === undefined) throw new RangeError(`the plan names region ${index} of ${regions.length}`);
  return region;
}
