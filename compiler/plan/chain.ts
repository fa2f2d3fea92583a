import {
  type ChainStep,
  convReach,
  type Finish,
  type FusedProgram,
  type Pipeline,
  type Reach,
  type Region,
  type ScoreStage,
  totalReach,
  type WeightStage,
} from "../../runtime/contract/index.ts";
import { graphOf } from "./graph.ts";
import { ceilTo } from "./layout.ts";
import type { RowLayout } from "./machine.ts";

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

/** Lays the tile's maps out in workgroup memory, from the last (no halo) back to the first (all of it). */
export function buildChain(
  pipeline: Pipeline,
  role: ChainRole,
  tileQ: number,
  tileK: number,
  layout: RowLayout,
): Chain {
  const stages = chainStages(pipeline, role);
  const heads = headBlock(stages);
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
  const { dot, scores, weights } = graphOf(pipeline);
  const steps: ChainStep[] = [];
  let region = 0;
  let normalized = -1;
  const linear = weights.filter((op) => op.kind !== "dropout");
  [dot, ...scores, ...(role === "apply" ? linear : [])].forEach((op, index) => {
    const last = index === scores.length;
    const mask = !last ? "zero" : role === "apply" ? "normalize" : "hide";
    const finish: Finish = { pointwise: op.pointwise, mask };
    if (op.kind === "conv") {
      steps.push({ kind: "conv", stage: op.index, from: region, to: region + 1, finish });
      region += 1;
    } else if (op.kind === "mix") {
      steps.push({ kind: "mix", stage: op.index, in: region, finish });
    } else {
      steps.push({ kind: "dot", to: region, finish });
    }
    if (mask === "normalize") normalized = region;
  });
  return {
    regions,
    steps,
    final: region,
    normalized,
    words: offset,
    reach: totalReach(stages),
  };
}

/** A region of a fused kernel. @throws RangeError where it has none of that index: a defect of the planner */
export function regionAt({ regions }: FusedProgram, index: number): Region {
  const region = regions[index];
  if (region === undefined) throw new RangeError(`the plan names region ${index} of ${regions.length}`);
  return region;
}

function lcm(a: number, b: number): number {
  let x = a;
  let y = b;
  while (y !== 0) [x, y] = [y, x % y];
  return (a / x) * b;
}
