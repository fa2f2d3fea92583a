import type { KernelPlan, Plan } from "../../../runtime/contract/index.ts";
import { renderCuda } from "../templates.ts";
import { preambleModel } from "./source-model.ts";

/** The text of all kernels of a CUDA plan, by file name: one file a plan. */
export function emitCudaKernels(plan: Plan): Readonly<Record<string, string>> {
  const file = plan.kernels[0]?.file;
  if (file === undefined) throw new RangeError("the plan has no kernels");
  const kernels = plan.kernels.map((kernel) => emitCudaKernel(plan, kernel).trimEnd());
  return { [file]: renderCuda("source", { ...preambleModel(plan), kernels }) };
}

/** The text of one kernel, in a namespace of its own inside the plan's. */
function emitCudaKernel(_plan: Plan, kernel: KernelPlan): string {
  const program = kernel.program;
  if (program === undefined)
    throw new RangeError(`the plan of "${kernel.name}" has no program: shipped artifacts leave it out`);
  throw new RangeError(`no CUDA template for ${program.kind}`);
}
