import type { KernelPlan, Plan } from "../../runtime/contract/index.ts";
import { fusedModel } from "./fused-model.ts";
import { pruneUnused } from "./prune.ts";
import {
  convKernelModel,
  mixKernelModel,
  normalizeModel,
  productModel,
  scoresModel,
} from "./staged-model.ts";
import { render as renderTemplate } from "./templates.ts";

/** The WGSL text of one kernel. */
export function emitKernel(plan: Plan, kernel: KernelPlan): string {
  return pruneUnused(render(plan, kernel));
}

function render(plan: Plan, kernel: KernelPlan): string {
  const program = kernel.program;
  if (program === undefined)
    throw new RangeError(`the plan of "${kernel.name}" has no program: shipped artifacts leave it out`);
  switch (program.kind) {
    case "fused":
      return renderTemplate("wgsl/fused.wgsl.hbs", fusedModel(plan, kernel, program));
    case "scores":
      return renderTemplate("wgsl/scores.wgsl.hbs", scoresModel(plan, kernel, program));
    case "conv":
      return renderTemplate("wgsl/conv.wgsl.hbs", convKernelModel(plan, kernel, program));
    case "mix":
      return renderTemplate("wgsl/mix.wgsl.hbs", mixKernelModel(plan, kernel, program));
    case "normalize":
      return renderTemplate("wgsl/normalize.wgsl.hbs", normalizeModel(plan, kernel, program));
    case "product":
      return renderTemplate("wgsl/product.wgsl.hbs", productModel(plan, kernel, program));
    case "tensor_tile":
    case "tensor_fold":
    case "tensor_mix":
    case "tensor_statistics":
    case "tensor_product":
    case "tensor_combine":
      throw new RangeError(`WGSL has no tensor cores: the kernel "${kernel.name}" is CUDA's`);
  }
}
