import type { KernelPlan, Plan } from "../../../runtime/contract/index.ts";
import { renderCuda } from "../templates.ts";
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
  const shared = pruneCuda(
    renderCuda("preamble", { ...preambleModel(plan), tensor, bf16 }),
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
    default:
      throw new RangeError(`no CUDA template for ${program.kind}`);
  }
}
