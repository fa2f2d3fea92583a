import type { Cost, Plan, Schedule } from "../../runtime/contract/index.ts";
import type { CudaEstimate } from "./cuda-cost.ts";
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
  /**
   * What its kernels do at the request's shape, in the order in which they run; none where it was dropped. WebGPU's planner
   * counts no instructions, and of the staged schedule's workgroup memory only what convolutions move.
   */
  readonly work: readonly KernelWork[];
  /** CUDA: what bounds the kernel that takes most of the time. */
  readonly estimate?: CudaEstimate;
}

export function dropped(schedule: Schedule, knobs: Candidate["knobs"], reason: string): Candidate {
  return { schedule, knobs, reason, plan: null, cost: null, work: [] };
}

/** What is known of a legal candidate; `plan` and `work` are written when somebody asks for them, and plans are verified. */
export interface LegalParts {
  readonly cost: Cost;
  readonly plan: () => Plan;
  readonly work: () => readonly KernelWork[];
  readonly estimate?: CudaEstimate;
}

export function legal(schedule: Schedule, knobs: Candidate["knobs"], parts: LegalParts): Candidate {
  let plan: Plan | undefined;
  let work: readonly KernelWork[] | undefined;
  return {
    schedule,
    knobs,
    reason: null,
    cost: parts.cost,
    ...(parts.estimate === undefined ? {} : { estimate: parts.estimate }),
    get plan() {
      plan ??= verifyPlan(parts.plan());
      return plan;
    },
    get work() {
      work ??= parts.work();
      return work;
    },
  };
}
