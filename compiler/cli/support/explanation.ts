import {
  type CallShape,
  type Cost,
  evaluate,
  type Plan,
  type Schedule,
  type Step,
  type Target,
  type Variables,
} from "../../../runtime/contract/index.ts";
import { describeSizes, formatKnobs, formatLayers } from "../../describe.ts";
import { type CudaEstimate, planVariables, type TargetLimits, workspaceBytes } from "../../plan/index.ts";
import { formatBytes, formatCount, formatRatio, plural } from "../../units.ts";
import type { AttentionFacts } from "./attention-facts.ts";
import { drawPipeline, listParameters } from "./stage-picture.ts";
import { type Style, table } from "./style.ts";

/** One way to run an attention, and why it is or is not taken. */
export interface ExplainedCandidate {
  readonly schedule: Schedule;
  readonly knobs: Readonly<Record<string, number | string>>;
  /** Why it was dropped; null when it is legal. */
  readonly reason: string | null;
  readonly cost: Cost | null;
  /** CUDA: what bounds it. */
  readonly estimate?: CudaEstimate;
}

/** All that `mtac explain` says of one attention: plain data, printed whole by `--json`. */
export interface Explanation extends AttentionFacts {
  readonly target: Target;
  readonly limits: TargetLimits;
  readonly candidates: readonly ExplainedCandidate[];
  readonly plan: Plan | null;
  readonly workspaceBytes: number | null;
  readonly dispatches: number | null;
}

/** Bytes of a plan's workspace, and how many dispatches a call makes, for a shape. */
export function measurePlan(plan: Plan, shape: CallShape): { workspaceBytes: number; dispatches: number } {
  const variables = planVariables(plan, shape);
  return {
    workspaceBytes: workspaceBytes(plan, variables),
    dispatches: countDispatches(plan.steps, variables),
  };
}

function countDispatches(steps: readonly Step[], variables: Variables): number {
  let count = 0;
  for (const step of steps) {
    if (step.kind === "dispatch") {
      if (step.grid.every((size) => evaluate(size, variables) > 0)) count++;
      continue;
    }
    const to = evaluate(step.to, variables);
    const by = evaluate(step.by, variables);
    for (let value = evaluate(step.from, variables); value < to; value += by)
      count += countDispatches(step.body, { ...variables, [step.variable]: value });
  }
  return count;
}

/** The explanation for people. */
export function formatExplanation(explanation: Explanation, style: Style): string {
  const { pipeline, plan } = explanation;
  const sections = [
    formatTitle(explanation, style),
    drawPipeline(pipeline, style),
    `${style.bold("Parameters")}\n${listParameters(pipeline.parameters, style)}`,
    formatWork(explanation, style),
    formatCandidates(explanation, style),
  ];
  if (plan !== null) sections.push(formatPlan(plan, explanation, style));
  return sections.join("\n\n");
}

/** One line of what an attention is, and the layers that use it. */
export function formatTitle({ name, stacks, pipeline }: AttentionFacts, style: Style): string {
  const lines = [`${style.bold(name)}  ${describeSizes(pipeline).join(" · ")}`];
  for (const { stack, of, layers } of stacks)
    lines.push(
      style.dim(`${plural(layers.length, "layer")} of the ${of} in ${stack}: ${formatLayers(layers)}`),
    );
  return lines.join("\n");
}

function formatWork(explanation: Explanation, style: Style): string {
  const { shape, visiblePairs, operations, compulsoryBytes, pipeline } = explanation;
  const pairs = shape.B * pipeline.heads * shape.Lq * shape.Lk;
  const rows = [
    [
      "visible pairs",
      formatCount(visiblePairs),
      style.dim(`${formatShare(visiblePairs / pairs)} of all, over batch and heads`),
    ],
    ["operations", formatCount(operations), style.dim("at least, forward; a multiply-add is two")],
    ["compulsory bytes", formatBytes(compulsoryBytes), style.dim("q, k, v, o and the parameters, once each")],
    ["one full map", formatBytes(pairs * 4), style.dim("of scores in f32; no schedule makes one")],
  ];
  const { B, Lq } = shape;
  return `${style.bold("Work")} ${style.dim(`at length ${Lq}, batch ${B}`)}\n${table(rows, ["left", "right", "left"], "  ")}`;
}

/** 0.5 → "50 %". */
export function formatShare(share: number): string {
  return `${Number((100 * share).toPrecision(3))} %`;
}

function formatCandidates({ candidates, target, limits, plan }: Explanation, style: Style): string {
  const title = `${style.bold("Candidates")} ${style.dim(describeLimits(target, limits))}`;
  const legal = candidates.filter((candidate) => candidate.reason === null);
  const cheapest = legal[0]?.cost?.time;
  const shownLegal = bestOfEach(legal);
  const rows = shownLegal.map((candidate) => {
    const { cost } = candidate;
    const chosen =
      plan !== null && plan.schedule === candidate.schedule && sameKnobs(plan.knobs, candidate.knobs);
    return [
      chosen ? style.green("→") : " ",
      chosen ? style.green(candidate.schedule) : candidate.schedule,
      cost === null || cheapest === undefined ? "" : formatRatio(cost.time / cheapest),
      cost === null ? "" : `${formatRatio(cost.multiplyAdds / cost.floorMultiplyAdds)} work`,
      cost === null ? "" : `${formatBytes(cost.bytes)} moved`,
      ...(target === "cuda" ? [formatEstimate(candidate.estimate)] : []),
      style.dim(formatKnobs(candidate.knobs)),
    ];
  });
  const lines = [title];
  if (rows.length > 0)
    lines.push(table(rows, ["left", "left", "right", "right", "right", "left", "left"], "  "));
  const hidden = legal.length - shownLegal.length;
  if (hidden > 0)
    lines.push(style.dim(`    and ${plural(hidden, "dearer variant")} of these (all with --json)`));
  for (const [schedule, [first = "", ...others]] of groupReasons(candidates)) {
    const more = others.length === 0 ? "" : style.dim(` (the nearest of ${others.length + 1} variants)`);
    lines.push(`  ${style.red("✗")} ${schedule}: ${first}${more}`);
  }
  return lines.join("\n");
}

function describeLimits(target: Target, { workgroupBytes, features, architecture }: TargetLimits): string {
  if (architecture !== undefined)
    return `for ${target} on ${architecture.name}, ${formatBytes(workgroupBytes)} of shared memory a block`;
  const list = features.length === 0 ? "" : `, ${features.join(", ")}`;
  return `for ${target} with ${formatBytes(workgroupBytes)} of workgroup memory${list}`;
}

function formatEstimate(estimate: CudaEstimate | undefined): string {
  if (estimate === undefined) return "";
  return `${Math.round(100 * estimate.occupancy)} % occupancy, bound by ${estimate.bound}`;
}

/** The cheapest of each schedule and lowering. */
function bestOfEach(candidates: readonly ExplainedCandidate[]): readonly ExplainedCandidate[] {
  const seen = new Set<string>();
  return candidates.filter(({ schedule, knobs: { lowering } }) => {
    const kind = `${schedule} ${lowering}`;
    return !seen.has(kind) && seen.add(kind);
  });
}

/**
 * The reasons why a schedule was dropped, for schedules of which no variant is legal; each reason once. The planner tries
 * small tiles first, so the first reason is the nearest miss.
 */
function groupReasons(candidates: readonly ExplainedCandidate[]): ReadonlyMap<Schedule, readonly string[]> {
  const legal = new Set(candidates.filter(({ reason }) => reason === null).map(({ schedule }) => schedule));
  const groups = new Map<Schedule, string[]>();
  for (const { schedule, reason } of candidates) {
    if (reason === null || legal.has(schedule)) continue;
    const reasons = groups.get(schedule) ?? [];
    if (!reasons.includes(reason)) reasons.push(reason);
    groups.set(schedule, reasons);
  }
  return groups;
}

/** Whether two candidates have the same knobs. */
export function sameKnobs(left: Plan["knobs"], right: Plan["knobs"]): boolean {
  const names = Object.keys(left);
  return names.length === Object.keys(right).length && names.every((name) => left[name] === right[name]);
}

function formatPlan(plan: Plan, explanation: Explanation, style: Style): string {
  const { workspaceBytes, dispatches } = explanation;
  const kernels = plan.kernels.map((kernel) => [
    style.cyan(kernel.name),
    `${kernel.workgroupSize} invocations`,
    formatBytes(kernel.workgroupBytes),
    kernel.bindings
      .map(({ resource, access }) => (access === "read_write" ? `${resource}*` : resource))
      .join(" "),
  ]);
  const lines = [
    `${style.bold("Plan")} ${plan.schedule}, ${plan.storage} storage  ${style.dim(formatKnobs(plan.knobs))}`,
    table(
      [
        [style.dim("kernel"), style.dim("workgroup"), style.dim("memory"), style.dim("bindings (* written)")],
        ...kernels,
      ],
      ["left", "right", "right", "left"],
      "  ",
    ),
  ];
  if (workspaceBytes !== null && dispatches !== null)
    lines.push(
      `  workspace ${formatBytes(workspaceBytes)} in ${plural(plan.workspace.length, "buffer")}, ${plural(dispatches, "dispatch").replace(/hs$/, "hes")}`,
    );
  return lines.join("\n");
}
