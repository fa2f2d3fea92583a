import type { CallShape, Pipeline, Plan, StorageForm } from "../../runtime/contract/index.ts";
import { emitKernels, type PlanThatWon } from "../emit/index.ts";
import {
  cudaArchitecture,
  cudaMachine,
  type Machine,
  planCandidates,
  storageForm,
  withStorage,
} from "../plan/index.ts";
import type { TunedEntry } from "./export.ts";
import type { TuningKey, TuningRecord } from "./record.ts";
import { sourceHash, specHash } from "./record.ts";
import { nearestWinner } from "./winner.ts";

/** The form in which a machine holds a pipeline's tensors: CUDA takes halves as they are. */
export function storageOn(machine: Machine, pipeline: Pipeline): StorageForm {
  if (machine.target === "webgpu") return storageForm(pipeline, machine.limits);
  return pipeline.storage === "f32" ? "f32" : `${pipeline.storage}-native`;
}

/** What results must agree with to be used. */
export type TuningSetting = Omit<TuningKey, "bucket">;

/**
 * The plan that won on a device nearest to a shape; null where none did, or where the planner makes another plan of those knobs
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
 * and run on others.
 *
 * @param webgpu WebGPU devices as the planner may see them; those that the winners were tuned on are not stored.
 */
export function tunedPlans(
  pipeline: Pipeline,
  webgpu: readonly Machine[],
  entries: readonly TunedEntry[],
): readonly PlanThatWon[] {
  const spec = specHash(pipeline);
  return entries.flatMap((entry) => {
    const { key } = entry;
    if (key.spec !== spec) return [];
    for (const machine of machinesFor(key, webgpu)) {
      const plan = planOf(pipeline, machine, entry);
      if (plan !== null) return [{ device: key.device, bucket: key.bucket, plan }];
    }
    return [];
  });
}

/** CUDA devices name their architecture; WebGPU devices may have any of the usual limits. */
function machinesFor({ target, device }: TuningKey, webgpu: readonly Machine[]): readonly Machine[] {
  if (target === "webgpu") return webgpu;
  const architecture = cudaArchitecture(device.split("|")[1] ?? "");
  return architecture === null ? [] : [cudaMachine(architecture)];
}

/** The winner's plan; only if its kernels are to the letter what was measured. */
function planOf(
  pipeline: Pipeline,
  machine: Machine,
  { key, candidate, shape }: Pick<TunedEntry, "key" | "candidate" | "shape">,
): Plan | null {
  const knobs = canonical(candidate.knobs);
  const found = planCandidates(pipeline, {
    machine,
    // The one that was measured: which candidates there are may depend on it.
    shape,
    schedule: candidate.schedule,
  }).find((each) => each.reason === null && canonical(each.knobs) === knobs);
  if (found === undefined || found.plan === null) return null;
  const plan = stored(found.plan, key.storage);
  return sourceHash(plan, emitKernels(plan)) === candidate.source ? plan : null;
}

/** WebGPU's plans are made for the device's form of half precision. */
function stored(plan: Plan, storage: StorageForm): Plan {
  return plan.storage === storage || plan.target === "cuda" ? plan : withStorage(plan, storage);
}

function canonical(knobs: Plan["knobs"]): string {
  return JSON.stringify(Object.entries(knobs).sort(([a], [b]) => (a < b ? -1 : 1)));
}
