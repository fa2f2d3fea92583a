import {
  type ChainStep,
  convReach,
  type Finish,
  isPointwise,
  type Pipeline,
  type Pointwise,
  pointwiseOf,
  type Reach,
  type Region,
  type ScoreStage,
  type StageIndex,
  totalReach,
  type WeightStage,
} from "../../runtime/contract/index.ts";
import { ceilTo } from "./layout.ts";

/** What a fused kernel computes: the scores alone, or also the normalised weights. */
export type ChainRole = "single_pass" | "statistics" | "apply";

/** The name of the kernel that computes a role. */
export function fusedKernelName(role: ChainRole): string {
  return role === "single_pass" ? "attention" : role;
}

/** Regions and steps of a fused kernel, and the words of workgroup memory that the regions take. */
export interface Chain {
  readonly regions: readonly Region[];
  readonly steps: readonly ChainStep[];
  readonly final: number;
  /** Region after the normalisation, or −1. */
  readonly normalized: number;
  readonly words: number;
  readonly reach: Reach;
}

interface DraftStep {
  readonly kind: "dot" | "conv" | "mix";
  readonly stage: StageIndex | null;
  readonly pointwise: Pointwise[];
  mask: Finish["mask"];
}

/** The heads that some stage reads together: groups are aligned, so the least common multiple of their sizes. */
export function headBlock(stages: readonly (ScoreStage | WeightStage)[]): number {
  let block = 1;
  for (const stage of stages) {
    if (stage.kind === "conv") block = lcm(block, stage.across);
    if (stage.kind === "mix") block = lcm(block, stage.group);
  }
  return block;
}

/** The stages that a role's chain runs through. */
export function chainStages(pipeline: Pipeline, role: ChainRole): readonly (ScoreStage | WeightStage)[] {
  return role === "apply" ? [...pipeline.scores, ...pipeline.weights] : pipeline.scores;
}

function draftSteps(pipeline: Pipeline, role: ChainRole): { drafts: DraftStep[]; normalized: number } {
  const drafts: DraftStep[] = [];
  let last: DraftStep = { kind: "dot", stage: null, pointwise: [], mask: "zero" };
  drafts.push(last);
  const add = (stage: ScoreStage | WeightStage, index: StageIndex): void => {
    if (isPointwise(stage)) {
      last.pointwise.push(pointwiseOf(stage));
      return;
    }
    last = { kind: stage.kind, stage: index, pointwise: [], mask: "zero" };
    drafts.push(last);
  };
  pipeline.scores.forEach((stage, index) => {
    add(stage, { section: "scores", index });
  });
  last.mask = role === "apply" ? "normalize" : "hide";
  const normalized = drafts.length - 1;
  if (role === "apply") {
    pipeline.weights.forEach((stage, index) => {
      add(stage, { section: "weights", index });
    });
  }
  return { drafts, normalized: role === "apply" ? normalized : -1 };
}

/** How rows of a map lie in workgroup memory. */
export interface RowLayout {
  /** Columns kept from earlier steps are rounded up to a multiple of this. */
  readonly carryMultiple: number;
  /** Words between two rows of so many columns. */
  stride(columns: number): number;
}

/** Nothing between the rows: memory is what WebGPU devices have least of. */
export const PACKED_ROWS: RowLayout = { carryMultiple: 1, stride: (columns) => columns };

/** Lays the tile's maps out in workgroup memory, from the last (no halo) back to the first (all of it). */
export function buildChain(
  pipeline: Pipeline,
  role: ChainRole,
  tileQ: number,
  tileK: number,
  layout: RowLayout = PACKED_ROWS,
): Chain {
  const stages = chainStages(pipeline, role);
  const heads = headBlock(stages);
  const { drafts, normalized } = draftSteps(pipeline, role);
  const convs = stages.filter((stage) => stage.kind === "conv");
  const reaches = convs.map(convReach);
  const geometry: { rows: number; above: number; carry: number }[] = [{ rows: tileQ, above: 0, carry: 0 }];
  for (const reach of [...reaches].reverse()) {
    const after = geometry[0] ?? { rows: tileQ, above: 0, carry: 0 };
    geometry.unshift({
      rows: ceilTo(after.rows + reach.past + reach.future, 4),
      above: after.above + reach.past,
      carry: ceilTo(reach.left + reach.right, layout.carryMultiple),
    });
  }
  const regions: Region[] = [];
  let offset = 0;
  let lag = 0;
  geometry.forEach((shape, index) => {
    const rowStride = layout.stride(tileK + shape.carry);
    const headStride = shape.rows * rowStride;
    const before = convs[index - 1];
    const name = before === undefined ? "raw" : `after_${before.name.replaceAll(".", "_")}`;
    regions.push({ name, offset, ...shape, rowStride, headStride, lag });
    offset += heads * headStride;
    lag += reaches[index]?.right ?? 0;
  });
  const steps: ChainStep[] = [];
  let region = 0;
  let normalizedRegion = -1;
  drafts.forEach((draft, index) => {
    const finish: Finish = { pointwise: draft.pointwise, mask: draft.mask };
    if (draft.kind === "conv" && draft.stage !== null) {
      steps.push({ kind: "conv", stage: draft.stage, from: region, to: region + 1, finish });
      region += 1;
    } else if (draft.kind === "mix" && draft.stage !== null) {
      steps.push({ kind: "mix", stage: draft.stage, in: region, finish });
    } else {
      steps.push({ kind: "dot", to: region, finish });
    }
    if (index === normalized) normalizedRegion = region;
  });
  return {
    regions,
    steps,
    final: region,
    normalized: normalizedRegion,
    words: offset,
    reach: totalReach(stages),
  };
}

function lcm(a: number, b: number): number {
  let x = a;
  let y = b;
  while (y !== 0) [x, y] = [y, x % y];
  return (a / x) * b;
}
