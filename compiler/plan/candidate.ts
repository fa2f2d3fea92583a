import type { Cost, Plan, Schedule } from "../../runtime/contract/index.ts";
import type { CudaEstimate } from "./cuda-cost.ts";

/** One way to compute an attention: a plan with its predicted cost, or the reason why it was dropped. */
export interface Candidate {
  readonly schedule: Schedule;
  readonly knobs: Readonly<Record<string, number | string>>;
  /** Why the candidate was dropped; null where it is legal. */
  readonly reason: string | null;
  readonly plan: Plan | null;
  readonly cost: Cost | null;
  /** CUDA: what bounds the kernel that takes most of the time. */
  readonly estimate?: CudaEstimate;
}

export function dropped(schedule: Schedule, knobs: Candidate["knobs"], reason: string): Candidate {
  return { schedule, knobs, reason, plan: null, cost: null };
}

/** A legal candidate; its plan is written when somebody asks for it. */
export function legal(
  schedule: Schedule,
  knobs: Candidate["knobs"],
  cost: Cost,
  write: () => Plan,
  estimate?: CudaEstimate,
): Candidate {
  let plan: Plan | undefined;
  return {
    schedule,
    knobs,
    reason: null,
    cost,
    ...(estimate === undefined ? {} : { estimate }),
    get plan() {
      plan ??= write();
      return plan;
    },
  };
}
