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
  cudaMachine,
  DEFAULT_ARCHITECTURES,
  DEFAULT_SHAPE,
  plannedArchitecture,
} from "../../plan/index.ts";
import { render } from "../templates.ts";
import { type PlanThatWon, withTunedPlans } from "../tuned.ts";
import { fusedModel } from "./direct/fused.ts";
import {
  convKernelModel,
  mixKernelModel,
  normalizeModel,
  productModel,
  scoresModel,
} from "./direct/staged.ts";
import { pruneCuda } from "./prune.ts";
import { sharedModel } from "./shared-model.ts";
import { cudaNamespace } from "./source-model.ts";
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
      machine: cudaMachine(architecture),
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
  const shared = pruneCuda(render("cuda/preamble.cu.hbs", sharedModel(plan)), kernels.join("\n"));
  const namespace = cudaNamespace(plan);
  return { [file]: render("cuda/source.cu.hbs", { shared: shared.trimEnd(), kernels, namespace }) };
}

/** The text of one kernel, in a namespace of its own inside the plan's. */
function emitCudaKernel(plan: Plan, kernel: KernelPlan): string {
  const program = kernel.program;
  if (program === undefined)
    throw new RangeError(`the plan of "${kernel.name}" has no program: shipped artifacts leave it out`);
  switch (program.kind) {
    case "tensor_tile":
      return render("cuda/tensor/tile.cu.hbs", tensorTileModel(plan, kernel, program));
    case "tensor_fold":
      return render("cuda/tensor/fold.cu.hbs", tensorFoldModel(plan, kernel, program));
    case "tensor_mix":
      return render("cuda/tensor/mix.cu.hbs", tensorMixModel(plan, kernel, program));
    case "tensor_combine":
      return render("cuda/tensor/combine.cu.hbs", tensorCombineModel(plan, kernel, program));
    case "tensor_statistics":
      return render("cuda/tensor/statistics.cu.hbs", tensorStatisticsModel(plan, kernel, program));
    case "tensor_product":
      return render("cuda/tensor/product.cu.hbs", tensorProductModel(plan, kernel, program));
    case "fused":
      return render("cuda/direct/fused.cu.hbs", fusedModel(plan, kernel, program));
    case "scores":
      return render("cuda/direct/scores.cu.hbs", scoresModel(plan, kernel, program));
    case "conv":
      return render("cuda/direct/conv.cu.hbs", convKernelModel(plan, kernel, program));
    case "mix":
      return render("cuda/direct/mix.cu.hbs", mixKernelModel(plan, kernel, program));
    case "normalize":
      return render("cuda/direct/normalize.cu.hbs", normalizeModel(plan, kernel, program));
    case "product":
      return render("cuda/direct/product.cu.hbs", productModel(plan, kernel, program));
  }
}
