import type { Cost, Plan, Schedule } from "../../runtime/contract/index.ts";
import type { Estimate } from "./estimate.ts";
import type { Prediction } from "./predict.ts";
import { verifyPlan } from "./verify/index.ts";
import type { KernelWork } from "./work.ts";

/** One way to compute an attention: a plan with its predicted cost, or the reason why it was dropped. */
export interface Candidate {
  readonly schedule: Schedule;
  readonly knobs: Readonly<Record<string, number | string>>;
  /** Why the candidate was dropped; null where it is legal. */
  readonly reason: string | null;
  readonly plan: Plan | null;
  readonly cost: Cost | null;
  /** What its kernels do at the request's shape, in the order in which they run; none where it was dropped. */
  readonly work: readonly KernelWork[];
  /** What bounds the kernel that takes most of the time; none where the candidate was dropped. */
  readonly estimate?: Estimate;
}

export function dropped(schedule: Schedule, knobs: Candidate["knobs"], reason: string): Candidate {
  return { schedule, knobs, reason, plan: null, cost: null, work: [] };
}

/** A legal candidate; its plan is written, and verified, when somebody asks for it. */
export function legal(
  schedule: Schedule,
  knobs: Candidate["knobs"],
  prediction: Prediction,
  write: () => Plan,
): Candidate {
  let plan: Plan | undefined;
  return {
    schedule,
    knobs,
    reason: null,
    ...prediction,
    get plan() {
      plan ??= verifyPlan(write());
      return plan;
    },
  };
}
