import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { emitKernels } from "../../compiler/emit/index.ts";
import { resolve } from "../../compiler/ir/index.ts";
import { analyse } from "../../compiler/language/index.ts";
import {
  DEFAULT_SHAPE,
  planCandidates,
  type TargetLimits,
  webgpuMachine,
} from "../../compiler/plan/index.ts";
import { expandPlan, type KernelVariant } from "../../runtime/contract/expand.ts";
import type { Pipeline, Plan } from "../../runtime/contract/index.ts";
import { bestPlan, legalSchedules } from "./gpu.ts";

const FOLDERS = ["../../examples/", "../golden/specs/"];

/** Every attention of the examples and of the golden tests' specs. */
export function corpusPipelines(): Pipeline[] {
  return FOLDERS.flatMap((relative) => {
    const folder = fileURLToPath(new URL(relative, import.meta.url));
    const files = readdirSync(folder).filter((name) => name.endsWith(".mta"));
    return files.flatMap((name) => {
      const { spec, diagnostics } = analyse(readFileSync(`${folder}${name}`, "utf8"), name);
      if (spec === null) throw new Error(`${name}: ${JSON.stringify(diagnostics)}`);
      return spec.attentions.map((attention) => resolve(attention, name));
    });
  });
}

/** The planner's first choice of every legal schedule that fits one of the devices. */
export function plansFor(pipeline: Pipeline, devices: readonly TargetLimits[]): Plan[] {
  return devices.flatMap((limits) =>
    legalSchedules(pipeline).flatMap((schedule) => {
      const found = bestPlan(pipeline, limits, DEFAULT_SHAPE, schedule);
      return "plan" in found ? [found.plan] : [];
    }),
  );
}

/** The plans for gradients of devices that one fits. */
export function backwardPlansFor(pipeline: Pipeline, devices: readonly TargetLimits[]): Plan[] {
  return devices.flatMap((limits) => {
    const machine = webgpuMachine(limits);
    const [best] = planCandidates(pipeline, { machine, shape: DEFAULT_SHAPE, direction: "backward" });
    const plan = best?.plan ?? null;
    return plan === null ? [] : [plan];
  });
}

export interface CorpusKernel {
  readonly name: string;
  readonly variant: KernelVariant;
  readonly source: string;
}

/** The kernels of a plan, those with other constants for calls with history counted as kernels of their own. */
export function kernelsOf(plan: Plan): CorpusKernel[] {
  const sources = emitKernels(plan);
  const shape = { B: 1, Lq: 64, Lk: 128, positions: false };
  const variants = [0, 5].flatMap((R) => expandPlan(plan, { ...shape, R }).variants);
  return variants.map((variant) => {
    const { kernel, constants } = variant;
    const knobs = Object.values(plan.knobs).join(" ");
    const name = `${plan.pipeline.name} ${plan.schedule} ${plan.storage} ${kernel.name} ${JSON.stringify(constants)} (${knobs})`;
    return { name, variant, source: sources[kernel.file] ?? "" };
  });
}

/** Without repetitions: what a device would compile if it ran all the plans. */
export function distinctKernels(plans: readonly Plan[]): CorpusKernel[] {
  const kernels = plans.flatMap(kernelsOf);
  const keyOf = ({ variant, source }: CorpusKernel): string =>
    `${JSON.stringify(variant.constants)}\n${source}`;
  return [...new Map(kernels.map((kernel) => [keyOf(kernel), kernel])).values()];
}
