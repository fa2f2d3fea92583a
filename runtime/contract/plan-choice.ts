import { describeValue } from "./arguments.ts";
import type { Artifact, Plan, Schedule, Target } from "./plan.ts";
import type { AttentionInputs, CallShape } from "./tensor.ts";
import { nearestBucket, type ShapeBucket, sameDevice } from "./tuned.ts";

export interface PlanChoice {
  /** Use only plans of this schedule. */
  readonly schedule?: Schedule;
  /** Use this plan: its index in `artifact.plans`, or the plan itself. */
  readonly plan?: number | Plan;
}

/** A tuned plan that a device can run. */
export interface TunedChoice {
  readonly bucket: ShapeBucket;
  readonly plan: Plan;
}

/**
 * The plans that were the fastest on this device; none where the caller has chosen a plan or a schedule.
 *
 * @param fits Whether the device can run a plan.
 */
export function tunedChoices(
  { plans, tuned = [] }: Artifact,
  identity: string,
  choice: PlanChoice,
  fits: (plan: Plan) => boolean,
): readonly TunedChoice[] {
  if (choice.plan !== undefined || choice.schedule !== undefined) return [];
  return tuned.flatMap(({ device, bucket, plan: index }) => {
    const plan = plans[index];
    return plan !== undefined && sameDevice(device, identity) && fits(plan) ? [{ bucket, plan }] : [];
  });
}

/** The shape that a call's tensors have; neither it nor whether they are all there is checked yet. */
export function shapeOfInputs({
  q,
  k,
  qHistory,
}: Partial<AttentionInputs<{ readonly shape: readonly number[] }>>): CallShape {
  const size = (tensor: typeof q, axis: number): number => tensor?.shape[axis] ?? 0;
  return { B: size(q, 0), Lq: size(q, 2), Lk: size(k, 2), R: size(qHistory, 2) };
}

/** The plan for calls of a shape: the tuned one nearest to it, else the fallback. */
export function planForShape(tuned: readonly TunedChoice[], fallback: Plan, shape: CallShape): Plan {
  return nearestBucket(tuned, shape)?.plan ?? fallback;
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
  if (!isArtifact(artifact)) {
    return {
      message: `an artifact is needed, not ${describeValue(artifact)}`,
      remedy: "pass one of `artifacts` that `compile` gives, or what a module of emitted kernels exports",
    };
  }
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
    (candidate) =>
      candidate.target === target &&
      candidate.tuned !== true &&
      (schedule === undefined || candidate.schedule === schedule),
  );
  if (matching.length > 0) return matching;
  const schedules = [...new Set(artifact.plans.map((candidate) => candidate.schedule))].join(", ");
  const kind = schedule === undefined ? `${TARGET_NAMES[target]} plan` : `plan with schedule ${schedule}`;
  return {
    message: `attention "${artifact.name}" has no ${kind}`,
    remedy: schedules === "" ? "compile the spec again" : `it was compiled with: ${schedules}`,
  };
}

function isArtifact(artifact: unknown): boolean {
  if (typeof artifact !== "object" || artifact === null) return false;
  return "plans" in artifact && Array.isArray(artifact.plans) && "sources" in artifact;
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
