import type { Artifact, Plan, ShapeBucket, TunedPlan } from "../../runtime/contract/index.ts";

/** A plan that was the fastest on one device at shapes of a bucket. */
export interface PlanThatWon {
  readonly device: string;
  readonly bucket: ShapeBucket;
  readonly plan: Plan;
}

/**
 * An artifact with plans that won somewhere, after its own. One that the artifact has already is named, not repeated.
 *
 * @param name Gives the kernels of plan `index` their files.
 * @param emit The kernels' text, by file.
 */
export function withTunedPlans(
  artifact: Artifact,
  winners: readonly PlanThatWon[],
  name: (plan: Plan, index: number) => Plan,
  emit: (plan: Plan) => Readonly<Record<string, string>>,
): Artifact {
  if (winners.length === 0) return artifact;
  const plans = [...artifact.plans];
  const sources: Record<string, string> = { ...artifact.sources };
  const known = new Map(plans.map((plan, index) => [meaningOf(plan), index]));
  const tuned = winners.map(({ device, bucket, plan }): TunedPlan => {
    const meaning = meaningOf(plan);
    let index = known.get(meaning);
    if (index === undefined) {
      index = plans.length;
      const named = name({ ...plan, tuned: true }, index);
      known.set(meaning, index);
      plans.push(named);
      Object.assign(sources, emit(named));
    }
    return { device, bucket, plan: index };
  });
  return { ...artifact, plans, sources, tuned };
}

/** What a plan does, without its name and its cost. */
function meaningOf({ target, storage, kernels, definitions }: Plan): string {
  return JSON.stringify([target, storage, kernels.map(({ program }) => program), definitions]);
}
