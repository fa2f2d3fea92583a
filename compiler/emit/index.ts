import type { Artifact, CallShape, Pipeline, Plan, Schedule } from "../../runtime/contract/index.ts";
import {
  choosePlan,
  DEFAULT_SHAPE,
  storageForm,
  type TargetLimits,
  WEBGPU_VARIANTS,
  webgpuMachine,
  withStorage,
} from "../plan/index.ts";
import { type PlanThatWon, withTunedPlans } from "./tuned.ts";
import { emitKernel } from "./wgsl.ts";

export type { PlanThatWon } from "./tuned.ts";

/** The text of every kernel of a plan, by file name. */
export function emitKernels(plan: Plan): Readonly<Record<string, string>> {
  return Object.fromEntries(plan.kernels.map((kernel) => [kernel.file, emitKernel(plan, kernel)]));
}

/** What `emitArtifact` makes plans for. */
export interface ArtifactOptions {
  /** The shape for which plans are chosen. */
  readonly shape?: CallShape;
  readonly schedule?: Schedule;
  /** The devices to make plans for, the most capable first. */
  readonly variants?: readonly TargetLimits[];
}

/**
 * Plans and kernels of one attention for the devices that differ: 16 or 32 KiB of workgroup memory, with or without native
 * f16. A launcher takes the first plan that its device can run.
 *
 * @throws MtacError MTA405 when no schedule fits a variant.
 */
export function emitArtifact(pipeline: Pipeline, options: ArtifactOptions = {}): Artifact {
  const shape = options.shape ?? DEFAULT_SHAPE;
  const plans: Plan[] = [];
  const sources: Record<string, string> = {};
  const seen = new Set<string>();
  const chosenFor = new Map<string, Plan>();
  for (const limits of options.variants ?? WEBGPU_VARIANTS) {
    // Native f16 changes how kernels read, not which plan is best: those variants share the planner's work.
    const sizes = JSON.stringify({ ...limits, features: [] });
    const request = { machine: webgpuMachine(limits), shape };
    const best =
      chosenFor.get(sizes) ??
      choosePlan(
        pipeline,
        options.schedule === undefined ? request : { ...request, schedule: options.schedule },
      );
    chosenFor.set(sizes, best);
    const chosen = withStorage(best, storageForm(pipeline, limits));
    // Variants that lead to the same plan are one.
    const programs = chosen.kernels.map((kernel) => kernel.program);
    const key = JSON.stringify([chosen.storage, programs, chosen.definitions]);
    if (seen.has(key)) continue;
    seen.add(key);
    const named = nameVariant(chosen, plans.length);
    plans.push(named);
    Object.assign(sources, emitKernels(named));
  }
  return { name: pipeline.name, plans, sources };
}

/** An artifact for WebGPU with plans that won on devices, which then prefer them. */
export function addTunedPlans(artifact: Artifact, winners: readonly PlanThatWon[]): Artifact {
  return withTunedPlans(artifact, winners, nameVariant, emitKernels);
}

/** Kernel files of the second and later variants carry its number. */
function nameVariant(plan: Plan, index: number): Plan {
  if (index === 0) return plan;
  return {
    ...plan,
    kernels: plan.kernels.map((kernel) => ({
      ...kernel,
      file: kernel.file.replace(/\.wgsl$/, `.${index + 1}.wgsl`),
    })),
  };
}
