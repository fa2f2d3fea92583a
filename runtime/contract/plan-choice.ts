import type { Artifact, Plan, Schedule, Target } from "./plan.ts";

export interface PlanChoice {
  /** Use only plans of this schedule. */
  readonly schedule?: Schedule;
  /** Use this plan: its index in `artifact.plans`, or the plan itself. */
  readonly plan?: number | Plan;
}

/** Why an artifact has no plan of the kind that is asked for. */
export interface MissingPlan {
  readonly message: string;
  readonly remedy: string;
}

const TARGET_NAMES = { webgpu: "WebGPU", cuda: "CUDA" } as const satisfies Record<Target, string>;

/** The plans of an artifact that come into question, the most preferred first. */
export function listCandidates(
  artifact: Artifact,
  target: Target,
  { plan, schedule }: PlanChoice,
): readonly Plan[] | MissingPlan {
  if (typeof plan === "object") return [plan];
  if (plan !== undefined) {
    const chosen = artifact.plans[plan];
    if (chosen !== undefined) return [chosen];
    return {
      message: `attention "${artifact.name}" has no plan ${plan}`,
      remedy: `it has ${artifact.plans.length}, counted from 0`,
    };
  }
  const matching = artifact.plans.filter(
    (candidate) => candidate.target === target && (schedule === undefined || candidate.schedule === schedule),
  );
  if (matching.length > 0) return matching;
  const schedules = [...new Set(artifact.plans.map((candidate) => candidate.schedule))].join(", ");
  const kind = schedule === undefined ? `${TARGET_NAMES[target]} plan` : `plan with schedule ${schedule}`;
  return {
    message: `attention "${artifact.name}" has no ${kind}`,
    remedy: schedules === "" ? "compile the spec again" : `it was compiled with: ${schedules}`,
  };
}

/** A phrase for what a device lacks, with the size of the gap; null when it does not. */
export function shortfall(
  what: string,
  limit: string,
  needed: number,
  available: number,
  show: (value: number) => string,
): string | null {
  if (needed <= available) return null;
  return `needs ${show(needed)} ${what}, ${show(needed - available)} more than the device's ${show(available)} (${limit})`;
}
