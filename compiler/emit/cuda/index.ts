import type { KernelPlan, Plan } from "../../../runtime/contract/index.ts";
import { renderCuda } from "../templates.ts";
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
import { tensorMixModel, tensorProductModel, tensorStatisticsModel } from "./tensor-map-model.ts";
import { tensorTileModel } from "./tensor-model.ts";

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
  const namespace = cudaNamespace(plan.pipeline);
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
    case "tensor_mix":
      return renderCuda("tensor/mix", tensorMixModel(plan, kernel, program));
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
