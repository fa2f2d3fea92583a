import { type CallShape, type Pipeline, type Plan, withoutDropout } from "../../runtime/contract/index.ts";
import { emitKernels, type PlanThatWon } from "../emit/index.ts";
import { type Machine, machinesOf, planCandidates, storedOn } from "../plan/index.ts";
import { deviceFacts } from "../targets.ts";
import type { TunedEntry } from "./export.ts";
import type { TuningKey, TuningRecord } from "./record.ts";
import { sourceHash, specHash } from "./record.ts";
import { nearestWinner } from "./winner.ts";

/** What results must agree with to be used. */
export type TuningSetting = Omit<TuningKey, "bucket">;

/**
 * The plan that won on a device nearest to a shape, of the setting's pass; null where none did, or where the planner makes another plan of those knobs
 * today than the one that was measured.
 */
export function tunedPlan(
  pipeline: Pipeline,
  machine: Machine,
  setting: TuningSetting,
  shape: CallShape,
  records: readonly TuningRecord[],
): Plan | null {
  const winner = nearestWinner(records, setting, shape);
  if (winner === null) return null;
  return planOf(pipeline, machine, { ...winner, shape: winner.measurement.shape });
}

/**
 * Plans of winners of whatever device that can still be made, with where they won: for artifacts, which are compiled on one machine
 * and run on others. Those for gradients need `loadGradients`.
 */
export function tunedPlans(pipeline: Pipeline, entries: readonly TunedEntry[]): readonly PlanThatWon[] {
  const spec = specHash(pipeline);
  return entries.flatMap((entry) => {
    const { key } = entry;
    if (key.spec !== spec) return [];
    for (const machine of machinesOf(deviceFacts(key.target).runs).behind(key.device)) {
      const plan = planOf(pipeline, machine, entry);
      if (plan !== null) return [{ device: key.device, bucket: key.bucket, plan }];
    }
    return [];
  });
}

/** The winner's plan; only if its kernels are to the letter what was measured. */
function planOf(
  pipeline: Pipeline,
  machine: Machine,
  { key, candidate, shape }: Pick<TunedEntry, "key" | "candidate" | "shape">,
): Plan | null {
  const knobs = canonical(candidate.knobs);
  const found = planCandidates(withoutDropout(pipeline), {
    machine,
    // The one that was measured: which candidates there are may depend on it.
    shape,
    schedule: candidate.schedule,
    ...(key.direction === undefined ? {} : { direction: key.direction }),
  }).find((each) => each.reason === null && canonical(each.knobs) === knobs);
  if (found === undefined || found.plan === null) return null;
  const plan = storedOn(machine, found.plan, key.storage);
  return sourceHash(plan, emitKernels(plan)) === candidate.source ? plan : null;
}

function canonical(knobs: Plan["knobs"]): string {
  return JSON.stringify(Object.entries(knobs).sort(([a], [b]) => (a < b ? -1 : 1)));
}
