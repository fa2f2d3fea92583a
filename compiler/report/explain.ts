import { workspaceBytes } from "../../runtime/contract/expand.ts";
import type { CallShape, Cost, Pipeline, Plan, Schedule, Target } from "../../runtime/contract/index.ts";
import { compulsoryBytes, forwardOperations, visiblePairs } from "../ir/index.ts";
import type { Stack } from "../language/index.ts";
import {
  type Estimate,
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

/** All that `mtac explain` says of one attention: plain data, printed whole by `--json`. */
export interface Explanation extends AttentionFacts {
  readonly target: Target;
  readonly limits: TargetLimits;
  readonly candidates: readonly ExplainedCandidate[];
  readonly plan: Plan | null;
  /** The processor that is planned for; only where it computes. */
  readonly processor?: { readonly lanes: number; readonly threads: number };
  readonly workspaceBytes: number | null;
  /** The same for twice as many keys; only on the processor. */
  readonly doubledWorkspaceBytes?: number;
  readonly dispatches: number | null;
}

/** The target and its limits that a plan is sought for. */
export interface ExplainRequest {
  readonly target: Target;
  readonly limits: TargetLimits;
  /** Considers this schedule only. */
  readonly schedule?: Schedule | undefined;
}

/** What the planner sees and decides for an attention on a target; `plan` is null, and each candidate says why, where none fits. */
export function explain(facts: AttentionFacts, { target, limits, schedule }: ExplainRequest): Explanation {
  const { pipeline, shape } = facts;
  const machine = machinesOf(target).of(limits);
  const candidates = planCandidates(pipeline, {
    machine,
    shape,
    ...(schedule === undefined ? {} : { schedule }),
  });
  const plan = candidates[0]?.plan ?? null;
  const measured = plan === null ? null : measurePlan(plan, shape);
  return {
    ...facts,
    target,
    limits,
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
    ...(machine.kind === "cpu" ? processorFacts(machine, plan, shape) : {}),
  };
}

/** What the library needs: no buffers of a plan, but memory that it lays out itself. */
function processorFacts(
  { lanes, threads }: Extract<Machine, { kind: "cpu" }>,
  plan: Plan | null,
  shape: CallShape,
): Partial<Explanation> {
  const processor = { lanes, threads };
  if (plan === null) return { processor };
  const doubled = { ...shape, Lk: 2 * shape.Lk };
  return {
    processor,
    workspaceBytes: libraryWorkspace(plan, shape, processor),
    doubledWorkspaceBytes: libraryWorkspace(plan, doubled, processor),
  };
}

/** Bytes of a plan's workspace, and how many dispatches a call makes, for a shape. */
export function measurePlan(plan: Plan, shape: CallShape): { workspaceBytes: number; dispatches: number } {
  const size = { ...shape, positions: false };
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
