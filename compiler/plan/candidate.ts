import type { PlanMemory } from "../../runtime/contract/expand.ts";
import type { Cost, Plan, Schedule } from "../../runtime/contract/index.ts";
import { definePlan, type PlanParts } from "./define.ts";
import type { Estimate } from "./estimate.ts";
import type { Fitted } from "./fit.ts";
import type { Machine, Task } from "./machine.ts";
import type { OptionName } from "./options.ts";
import { type Predicted, predictTogether } from "./predict.ts";
import { verifyPlan } from "./verify/index.ts";
import type { KernelWork } from "./work.ts";

/** One way to compute an attention: a plan with its predicted cost, or the reason why it was dropped. */
export interface Candidate {
  readonly schedule: Schedule;
  readonly knobs: Readonly<Record<string, number | string>>;
  /** Why the candidate was dropped, or not looked at; null where it is legal. */
  readonly reason: string | null;
  /** It was not looked at, so that planning ends in time: a part of the knobs stands for all of its variants. */
  readonly unexplored?: true;
  readonly plan: Plan | null;
  /** How much memory its plan takes: known before that is written in full and verified. Null where it was dropped. */
  readonly memory: PlanMemory | null;
  readonly cost: Cost | null;
  /** What its kernels do at the request's shape, in the order in which they run; none where it was dropped. */
  readonly work: readonly KernelWork[];
  /** What bounds the kernel that takes most of the time; none where the candidate was dropped. */
  readonly estimate?: Estimate;
}

/** What was dropped, with the reason. */
export function dropped(schedule: Schedule, knobs: Candidate["knobs"], reason: string): Candidate {
  return { schedule, knobs, reason, plan: null, memory: null, cost: null, work: [] };
}

/** Kernels of all candidates of one schedule and lowering that are fitted and predicted at most: about a tenth of a second. */
const MOST_KERNELS = 1024;

/**
 * Cuts a menu down to so many choices as the planner has time for: the first ones, and one at least.
 *
 * @param kernels Kernels that each choice makes it fit and predict.
 */
export function affordable<Choice>(
  menu: readonly Choice[],
  kernels: number,
): { readonly taken: readonly Choice[]; readonly left: readonly Choice[] } {
  const most = Math.max(1, Math.floor(MOST_KERNELS / kernels));
  return { taken: menu.slice(0, most), left: menu.slice(most) };
}

/** A choice of a menu that there is no time for. */
export function unexplored(schedule: Schedule, knobs: Candidate["knobs"], kernels: number): Candidate {
  const reason = `not looked at: plans have ${kernels} kernels, and there is no time to try more choices`;
  return { ...dropped(schedule, knobs, reason), unexplored: true };
}

/** Kernels that make a plan together, and how they are written down as one. */
export interface Choice {
  readonly kernels: readonly Predicted[];
  write(): PlanParts;
}

/** The candidate of a choice that fits, or a dropped one; its plan is written, and verified, when somebody asks for it. */
export function candidateOf(
  task: Task,
  schedule: Schedule,
  knobs: Candidate["knobs"],
  choice: Fitted<Choice>,
): Candidate {
  if (!choice.fits) return dropped(schedule, knobs, choice.reason);
  const { kernels, write } = choice.value;
  const prediction = predictTogether(task, kernels);
  const { cost } = prediction;
  let parts: PlanParts | undefined;
  let plan: Plan | undefined;
  const written = (): PlanParts => {
    parts ??= write();
    return parts;
  };
  return {
    schedule,
    knobs,
    reason: null,
    ...prediction,
    get plan() {
      plan ??= verifyPlan(definePlan(task, { schedule, knobs, cost }, written()));
      return plan;
    },
    get memory() {
      const { definitions, workspace } = written();
      return { pipeline: task.pipeline, definitions, workspace };
    },
  };
}

/** One way to lower a schedule. */
interface Lowering<On extends Machine> {
  /** What changes its plans on a machine. */
  readonly options: (machine: On) => readonly OptionName[];
  readonly candidates: (task: Task<On>) => readonly Candidate[];
}

/** How one kind of units lowers each schedule. */
export type Lowerings<On extends Machine> = Readonly<Record<Schedule, Lowering<On>>>;
