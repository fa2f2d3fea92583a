import { workspaceBytes } from "../../runtime/contract/expand.ts";
import {
  type CallShape,
  type Cost,
  type Pipeline,
  type Plan,
  type Schedule,
  type Target,
  withoutDropout,
} from "../../runtime/contract/index.ts";
import {
  compulsoryBytes,
  compulsoryGradientBytes,
  floorGradientMultiplyAdds,
  forwardOperations,
  visiblePairs,
} from "../ir/index.ts";
import type { Stack } from "../language/index.ts";
import {
  backwardWorkspace,
  type Candidate,
  type Estimate,
  keepValues,
  libraryWorkspace,
  type Machine,
  machinesOf,
  planCandidates,
  type TargetLimits,
} from "../plan/index.ts";
import { countDispatches } from "./count-dispatches.ts";

/** The layers of a stack that use an attention. */
export interface LayerUse {
  readonly stack: string;
  readonly of: number;
  readonly layers: readonly number[];
}

/** The layers of each stack that use an attention. */
export function layersUsing(stacks: readonly Stack[], attention: string): readonly LayerUse[] {
  return stacks.flatMap((stack) => {
    const layers = stack.attentions.flatMap((each, layer) => (each === attention ? [layer] : []));
    return layers.length === 0 ? [] : [{ stack: stack.name, of: stack.layers, layers }];
  });
}

/** What there is to say of an attention at a shape, whatever computes it. */
export interface AttentionFacts {
  readonly name: string;
  readonly stacks: readonly LayerUse[];
  readonly pipeline: Pipeline;
  readonly shape: CallShape;
  /** (row, key) pairs that are visible without looking at data, over batch and heads. */
  readonly visiblePairs: number;
  /** Operations of the forward pass at least (a multiply-add is two). */
  readonly operations: number;
  readonly compulsoryBytes: number;
}

/** The facts of an attention for a batch of sequences of `length` rows and keys. */
export function attentionFacts(
  stacks: readonly Stack[],
  pipeline: Pipeline,
  { batch, length }: { readonly batch: number; readonly length: number },
): AttentionFacts {
  const shape = { B: batch, Lq: length, Lk: length, R: 0 };
  return {
    name: pipeline.name,
    stacks: layersUsing(stacks, pipeline.name),
    pipeline,
    shape,
    visiblePairs: visiblePairs(pipeline, shape),
    operations: forwardOperations(pipeline, shape),
    compulsoryBytes: compulsoryBytes(pipeline, shape),
  };
}

/** One way to run an attention, and why it is or is not taken. */
export interface ExplainedCandidate {
  readonly schedule: Schedule;
  readonly knobs: Readonly<Record<string, number | string>>;
  /** Why it was dropped; null when it is legal. */
  readonly reason: string | null;
  /** It was not looked at, so that planning ends in time: some knobs stand for all variants that have them. */
  readonly unexplored?: true;
  readonly cost: Cost | null;
  /** What bounds it. */
  readonly estimate?: Estimate;
}

/** How a pass is computed: the planner's choice, and what it takes. */
export interface ExplainedPlan {
  readonly candidates: readonly ExplainedCandidate[];
  readonly plan: Plan | null;
  readonly workspaceBytes: number | null;
  /** The same for twice as many keys; only on the processor. */
  readonly doubledWorkspaceBytes?: number;
  readonly dispatches: number | null;
}

/** What there is to say of the gradients of an attention. */
export interface ExplainedGradients extends ExplainedPlan {
  /** Operations of the backward pass at least (a multiply-add is two). */
  readonly operations: number;
  readonly compulsoryBytes: number;
  /** The predicted time of the backward pass over that of the forward pass; null where one of them has no plan. */
  readonly timeOverForward: number | null;
}

/** All that `mtac explain` says of one attention: plain data, printed whole by `--json`. */
export interface Explanation extends AttentionFacts, ExplainedPlan {
  readonly target: Target;
  readonly limits: TargetLimits;
  /** The processor that is planned for; only where it computes. */
  readonly processor?: { readonly lanes: number; readonly threads: number };
  /** Only where the target computes them. */
  readonly gradients?: ExplainedGradients;
}

/** The target and its limits that a plan is sought for. */
export interface ExplainRequest {
  readonly target: Target;
  readonly limits: TargetLimits;
  /** Considers this schedule only. */
  readonly schedule?: Schedule | undefined;
  /** Whether the target computes gradients: then they are explained, too. */
  readonly gradients?: boolean;
}

/** What the planner sees and decides for an attention on a target; `plan` is null, and each candidate says why, where none fits. */
export function explain(
  facts: AttentionFacts,
  { target, limits, schedule, gradients = false }: ExplainRequest,
): Explanation {
  const { pipeline, shape } = facts;
  const machine = machinesOf(target).of(limits);
  const only = schedule === undefined ? {} : { schedule };
  const forward = explainPlan(
    machine,
    shape,
    planCandidates(withoutDropout(pipeline), { machine, shape, ...only }),
  );
  return {
    ...facts,
    target,
    limits,
    ...forward,
    ...(machine.kind === "cpu" ? { processor: { lanes: machine.lanes, threads: machine.threads } } : {}),
    ...(gradients ? { gradients: explainGradients(machine, facts, forward.plan) } : {}),
  };
}

function explainGradients(
  machine: Machine,
  { pipeline, shape }: AttentionFacts,
  forward: Plan | null,
): ExplainedGradients {
  const backward = explainPlan(
    machine,
    shape,
    planCandidates(withoutDropout(pipeline), { machine, shape, direction: "backward" }),
    forward !== null && keepValues(forward).keepsValues === true,
  );
  const { plan } = backward;
  return {
    ...backward,
    operations: 2 * floorGradientMultiplyAdds(pipeline, shape),
    compulsoryBytes: compulsoryGradientBytes(pipeline, shape),
    timeOverForward: plan === null || forward === null ? null : plan.cost.time / forward.cost.time,
  };
}

/** @param valuesKept Whether a forward pass has kept what the output's stages are given. */
function explainPlan(
  machine: Machine,
  shape: CallShape,
  candidates: readonly Candidate[],
  valuesKept = false,
): ExplainedPlan {
  const plan = candidates[0]?.plan ?? null;
  const measured = plan === null ? null : measurePlan(plan, shape, valuesKept);
  return {
    candidates: candidates.map(({ schedule: name, knobs, reason, cost, estimate, unexplored }) => ({
      schedule: name,
      knobs,
      reason,
      cost,
      ...(estimate === undefined ? {} : { estimate }),
      ...(unexplored === undefined ? {} : { unexplored }),
    })),
    plan,
    workspaceBytes: measured?.workspaceBytes ?? null,
    dispatches: measured?.dispatches ?? null,
    ...(machine.kind === "cpu" && plan !== null ? processorWorkspace(machine, plan, shape) : {}),
  };
}

/** What the library needs: no buffers of a plan, but memory that it lays out itself. */
function processorWorkspace(
  processor: Extract<Machine, { kind: "cpu" }>,
  plan: Plan,
  shape: CallShape,
): Pick<ExplainedPlan, "workspaceBytes" | "doubledWorkspaceBytes"> {
  const workspace = plan.direction === "backward" ? backwardWorkspace : libraryWorkspace;
  return {
    workspaceBytes: workspace(plan, shape, processor),
    doubledWorkspaceBytes: workspace(plan, { ...shape, Lk: 2 * shape.Lk }, processor),
  };
}

/** Bytes of a plan's workspace, and how many dispatches a call makes, for a shape. */
export function measurePlan(
  plan: Plan,
  shape: CallShape,
  valuesKept = false,
): { workspaceBytes: number; dispatches: number } {
  const size = { ...shape, positions: false, valuesKept };
  return { workspaceBytes: workspaceBytes(plan, size), dispatches: countDispatches(plan, size) };
}

/** The cheapest of each schedule and lowering. */
export function bestOfEach(candidates: readonly ExplainedCandidate[]): readonly ExplainedCandidate[] {
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
export function groupReasons(
  candidates: readonly ExplainedCandidate[],
): ReadonlyMap<Schedule, readonly string[]> {
  const legal = new Set(candidates.filter(({ reason }) => reason === null).map(({ schedule }) => schedule));
  const groups = new Map<Schedule, string[]>();
  for (const { schedule, reason, unexplored } of candidates) {
    if (reason === null || unexplored || legal.has(schedule)) continue;
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
