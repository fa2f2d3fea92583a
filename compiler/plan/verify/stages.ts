import {
  isPointwise,
  type LinearStage,
  type Pipeline,
  type Plan,
  type Pointwise,
  type ScoreStage,
  type StageIndex,
  totalReach,
  type WeightStage,
} from "../../../runtime/contract/index.ts";
import { type Demand, demandIn } from "./rules.ts";

type MapStage = ScoreStage | WeightStage;

function sectionOf(pipeline: Pipeline, section: StageIndex["section"]): readonly MapStage[] {
  return pipeline[section];
}

/** The stage that a kernel names, where it is of the kind that it computes. */
export function linearAt<Kind extends "conv" | "mix">(
  demand: Demand,
  pipeline: Pipeline,
  at: StageIndex,
  kind: Kind,
): Extract<LinearStage, { readonly kind: Kind }> {
  const stage = sectionOf(pipeline, at.section)[at.index];
  demand(
    "stages",
    stage?.kind === kind,
    () => `${at.section}[${at.index}] is ${stage?.kind ?? "no stage"}, not ${kind}`,
  );
  return stage as Extract<LinearStage, { readonly kind: Kind }>;
}

/** Checks that entries leave a stage through the pointwise stages that follow it; `after` null: those before any other. */
export function checkFinish(
  demand: Demand,
  pipeline: Pipeline,
  after: StageIndex | null,
  pointwise: readonly Pointwise[],
): void {
  const stages = after === null ? pipeline.scores : sectionOf(pipeline, after.section);
  const rest = stages.slice(after === null ? 0 : after.index + 1);
  const next = rest.findIndex((stage) => !isPointwise(stage));
  const follow = next < 0 ? rest : rest.slice(0, next);
  demand(
    "finish",
    follow.length === pointwise.length && follow.every(({ kind }, index) => pointwise[index]?.kind === kind),
    () => `[${pointwise.map(({ kind }) => kind)}] where [${follow.map(({ kind }) => kind)}] follow`,
  );
}

/** The index of every stage that kernels name, in order. */
export function linearIndexes(pipeline: Pipeline): StageIndex[] {
  return (["scores", "weights"] as const).flatMap((section) =>
    sectionOf(pipeline, section).flatMap((stage, index) => (isPointwise(stage) ? [] : [{ section, index }])),
  );
}

/** The stages that one kernel computes. */
function computedBy(
  pipeline: Pipeline,
  program: NonNullable<Plan["kernels"][number]["program"]>,
): StageIndex[] {
  switch (program.kind) {
    case "library":
      return linearIndexes(pipeline);
    case "fused":
      return program.chain.flatMap((step) => (step.kind === "dot" ? [] : [step.stage]));
    case "conv":
    case "mix":
    case "dropout":
    case "tensor_fold":
    case "tensor_mix":
    case "tensor_conv":
    case "tensor_map_mix":
      return [program.stage];
    case "tensor_tile":
      return [
        ...(program.conv === null ? [] : [program.conv.stage]),
        ...(program.folded === null ? [] : [program.folded]),
      ];
    default:
      return [];
  }
}

/** No stage is left out. */
export function verifyStages(plan: Plan): void {
  const key = ({ section, index }: StageIndex): string => `${section}[${index}]`;
  const computed = new Set(
    plan.kernels.flatMap(({ program }) =>
      program === undefined ? [] : computedBy(plan.pipeline, program).map(key),
    ),
  );
  for (const index of linearIndexes(plan.pipeline))
    demandIn(plan, null)("stages", computed.has(key(index)), () => `no kernel computes ${key(index)}`);
}

/** Rows before those that it is asked for whose weights the output of a row depends on. */
export function weightsPast(pipeline: Pipeline): number {
  return totalReach(pipeline.weights).past;
}
