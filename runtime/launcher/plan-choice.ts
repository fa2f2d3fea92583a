import { describeValue } from "../contract/arguments.ts";
import { type Artifact, PLAN_FORMAT, type Plan, type Schedule } from "../contract/plan.ts";
import type { AttentionInputs, CallShape } from "../contract/tensor.ts";
import { nearestBucket, type ShapeBucket, sameDevice } from "../contract/tuned.ts";
import type { Capabilities } from "./backend.ts";

/** How a launcher chooses among an artifact's plans. */
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
  { plans, tuned = [] }: Pick<Artifact, "plans" | "tuned">,
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

/**
 * The first plan, in the artifact's order of preference, that the device can run.
 *
 * @throws the target's error: none fits (the message says for each plan what it lacks), or there is no such plan.
 */
export function choosePlan(backend: Capabilities, artifact: Artifact, choice: PlanChoice): Plan {
  const candidates = listCandidates(backend, artifact, choice);
  const reasons: string[] = [];
  for (const plan of candidates) {
    const lacks = whatLacks(backend, plan);
    if (lacks.length === 0) return plan;
    reasons.push(`  ${plan.schedule}, ${plan.storage}: ${lacks.join("; ")}`);
  }
  throw backend.error(
    "unfit",
    `attention "${artifact.name}": none of ${candidates.length} plans fits ${backend.name}:\n${reasons.join("\n")}`,
  );
}

/** Why the device cannot run a plan, as phrases; none where it can. */
export function whatLacks(backend: Capabilities, plan: Plan): readonly string[] {
  const { format, target } = plan;
  if (format !== PLAN_FORMAT)
    return [
      `it is of format ${String(format)}, and this version of mtac reads ${PLAN_FORMAT}: compile the spec again`,
    ];
  return target === backend.target ? backend.shortfalls(plan) : [`it is a plan for ${target}`];
}

/** The plans of an artifact that come into question, the most preferred first. */
function listCandidates(
  backend: Capabilities,
  artifact: Artifact,
  { plan, schedule }: PlanChoice,
): readonly Plan[] {
  if (!isArtifact(artifact))
    throw backend.error("plan", `an artifact is needed, not ${describeValue(artifact)}`, {
      remedy: "pass one of `artifacts` that `compile` gives, or what a module of emitted kernels exports",
    });
  if (typeof plan === "object") return [plan];
  const { name, plans } = artifact;
  if (plan !== undefined) {
    const chosen = plans[plan];
    if (chosen !== undefined) return [chosen];
    throw backend.error("plan", `attention "${name}" has no plan ${plan}`, {
      remedy: `it has ${plans.length}, counted from 0`,
    });
  }
  const matching = plans.filter(
    (candidate) =>
      candidate.target === backend.target &&
      candidate.tuned !== true &&
      (schedule === undefined || candidate.schedule === schedule),
  );
  if (matching.length > 0) return matching;
  const schedules = [...new Set(plans.map((candidate) => candidate.schedule))].join(", ");
  const kind = schedule === undefined ? `${backend.targetName} plan` : `plan with schedule ${schedule}`;
  throw backend.error("plan", `attention "${name}" has no ${kind}`, {
    remedy: schedules === "" ? "compile the spec again" : `it was compiled with: ${schedules}`,
  });
}

function isArtifact(artifact: unknown): boolean {
  if (typeof artifact !== "object" || artifact === null) return false;
  return "plans" in artifact && Array.isArray(artifact.plans) && "sources" in artifact;
}

/** How much a plan needs of something, how much the device has, and what messages and the target call it. */
export type Need = readonly [
  needed: number,
  available: number,
  what: string,
  limit: string,
  show?: (value: number) => string,
];

/** Phrases for what a device lacks, with the size of each gap. */
export function shortfalls(needs: readonly Need[]): string[] {
  return needs
    .filter(([needed, available]) => needed > available)
    .map(
      ([needed, available, what, limit, show = String]) =>
        `needs ${show(needed)} ${what}, ${show(needed - available)} more than the device's ${show(available)} (${limit})`,
    );
}
