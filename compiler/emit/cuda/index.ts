import type {
  Artifact,
  CallShape,
  KernelPlan,
  Pipeline,
  Plan,
  Schedule,
} from "../../../runtime/contract/index.ts";
import {
  choosePlan,
  cudaLimits,
  DEFAULT_ARCHITECTURES,
  DEFAULT_SHAPE,
  plannedArchitecture,
} from "../../plan/index.ts";
import { renderCuda } from "../templates.ts";
import { type PlanThatWon, withTunedPlans } from "../tuned.ts";
import { fusedModel } from "./direct/fused.ts";
import { directOpsModel } from "./direct/model.ts";
import {
  convKernelModel,
  mixKernelModel,
  normalizeModel,
  productModel,
  scoresModel,
} from "./direct/staged.ts";
import { pruneCuda } from "./prune.ts";
import { cudaNamespace, preambleModel } from "./source-model.ts";
import {
  tensorCombineModel,
  tensorFoldModel,
  tensorMixModel,
  tensorProductModel,
  tensorStatisticsModel,
} from "./tensor-map-model.ts";
import { tensorTileModel } from "./tensor-model.ts";

export { emitHostFiles } from "./host/index.ts";

export interface CudaArtifactOptions {
  /** The shape for which plans are chosen. */
  readonly shape?: CallShape;
  readonly schedule?: Schedule;
  /** Architectures as nvcc's `-arch` names them. */
  readonly architectures?: readonly string[];
}

/**
 * CUDA plans and kernels of one attention, for the most capable architecture first. Architectures that lead to the same plan
 * share it. A launcher takes the first plan that its device can run.
 *
 * @throws MtacError MTA405 when no schedule fits an architecture; MTA918 for an architecture that is none, or older than sm_80.
 */
export function emitCudaArtifact(pipeline: Pipeline, options: CudaArtifactOptions = {}): Artifact {
  const { shape = DEFAULT_SHAPE, schedule, architectures = DEFAULT_ARCHITECTURES } = options;
  const known = architectures
    .map(plannedArchitecture)
    .sort((a, b) => b.computeCapability - a.computeCapability);
  // By what they compute: the last architecture that leads to a plan is the least that it needs.
  const chosen = new Map<string, Plan>();
  for (const architecture of known) {
    const plan = choosePlan(pipeline, {
      target: "cuda",
      limits: cudaLimits(architecture),
      shape,
      ...(schedule === undefined ? {} : { schedule }),
    });
    const programs = plan.kernels.map((kernel) => kernel.program);
    chosen.set(JSON.stringify([plan.storage, programs, plan.definitions]), plan);
  }
  const plans = [...chosen.values()].map(nameVariant);
  const sources: Record<string, string> = {};
  for (const plan of plans) Object.assign(sources, emitCudaKernels(plan));
  return { name: pipeline.name, plans, sources };
}

/** An artifact for CUDA with plans that won on devices, which then prefer them. */
export function addTunedCudaPlans(artifact: Artifact, winners: readonly PlanThatWon[]): Artifact {
  return withTunedPlans(artifact, winners, nameVariant, emitCudaKernels);
}

/** Files and entry points of the second and later plans carry their number. */
function nameVariant(plan: Plan, index: number): Plan {
  if (index === 0) return plan;
  const { name } = plan.pipeline;
  return {
    ...plan,
    kernels: plan.kernels.map((kernel) => ({
      ...kernel,
      file: kernel.file.replace(/\.cu$/, `.${index + 1}.cu`),
      entryPoint: `${name}_${index + 1}_${kernel.name}`,
    })),
  };
}

/** The text of all kernels of a CUDA plan, by file name: one file a plan. */
export function emitCudaKernels(plan: Plan): Readonly<Record<string, string>> {
  const file = plan.kernels[0]?.file;
  if (file === undefined) throw new RangeError("the plan has no kernels");
  const kernels = plan.kernels.map((kernel) => pruneCuda(emitCudaKernel(plan, kernel)).trimEnd());
  const tensor = plan.kernels.some(({ program }) => program?.kind.startsWith("tensor_") ?? false);
  const bf16 = plan.storage === "bf16-native";
  const operations = tensor ? { tensor, bf16 } : { direct: true, ...directOpsModel(plan) };
  const shared = pruneCuda(
    renderCuda("preamble", { ...preambleModel(plan), ...operations }),
    kernels.join("\n"),
  );
  const namespace = cudaNamespace(plan);
  return { [file]: renderCuda("source", { shared: shared.trimEnd(), kernels, namespace }) };
}

/** The text of one kernel, in a namespace of its own inside the plan's. */
function emitCudaKernel(plan: Plan, kernel: KernelPlan): string {
  const program = kernel.program;
  if (program === undefined)
    throw new RangeError(`the plan of "${kernel.name}" has no program: shipped artifacts leave it out`);
  switch (program.kind) {
    case "tensor_tile":
      return renderCuda("tensor/tile", tensorTileModel(plan, kernel, program));
    case "tensor_fold":
      return renderCuda("tensor/fold", tensorFoldModel(plan, kernel, program));
    case "tensor_mix":
      return renderCuda("tensor/mix", tensorMixModel(plan, kernel, program));
    case "tensor_combine":
      return renderCuda("tensor/combine", tensorCombineModel(plan, kernel, program));
    case "tensor_statistics":
      return renderCuda("tensor/statistics", tensorStatisticsModel(plan, kernel, program));
    case "tensor_product":
      return renderCuda("tensor/product", tensorProductModel(plan, kernel, program));
    case "fused":
      return renderCuda("direct/fused", fusedModel(plan, kernel, program));
    case "scores":
      return renderCuda("direct/scores", scoresModel(plan, kernel, program));
    case "conv":
      return renderCuda("direct/conv", convKernelModel(plan, kernel, program));
    case "mix":
      return renderCuda("direct/mix", mixKernelModel(plan, kernel, program));
    case "normalize":
      return renderCuda("direct/normalize", normalizeModel(plan, kernel, program));
    case "product":
      return renderCuda("direct/product", productModel(plan, kernel, program));
  }
}
