import type { CallSize } from "../../../runtime/contract/expand.ts";
import type { KernelPlan, Plan } from "../../../runtime/contract/index.ts";
import { verifyCall } from "./calls.ts";
import { verifyCombine, verifyFused } from "./fused.ts";
import { verifyLibrary } from "./library.ts";
import { verifyMapKernel } from "./maps.ts";
import { verifyNames } from "./names.ts";
import { verifyResources } from "./resources.ts";
import { SAMPLE_CALLS } from "./run.ts";
import { verifyStages } from "./stages.ts";
import { verifyTensorKernel } from "./tensor.ts";
import { verifyTensorGradient } from "./tensor-gradients.ts";

export { PLAN_RULES, PlanFault, type PlanRule } from "./rules.ts";
export { SAMPLE_CALLS } from "./run.ts";

function verifyKernel(plan: Plan, kernel: KernelPlan): void {
  const { program } = kernel;
  if (program === undefined) return;
  switch (program.kind) {
    case "fused":
      verifyFused(plan, kernel, program);
      break;
    case "scores":
    case "conv":
    case "mix":
    case "normalize":
    case "product":
    case "dropout":
      verifyMapKernel(plan, kernel, program);
      break;
    case "combine":
      verifyCombine(plan, kernel, program);
      break;
    case "library":
      verifyLibrary(plan, kernel, program);
      break;
    case "pointwise":
    case "normalize_adjoint":
    case "row_product":
    case "key_product":
    case "conv_gradient":
    case "mix_gradient":
    case "bias_gradient":
    case "output_adjoint":
    case "sum":
    case "clear":
      break;
    case "tensor_pairs":
    case "tensor_row_product":
    case "tensor_key_product":
    case "tensor_conv":
    case "tensor_conv_gradient":
    case "tensor_map_mix":
    case "tensor_mix_gradient":
    case "tensor_largest":
      verifyTensorGradient(plan, kernel, program);
      break;
    default:
      verifyTensorKernel(plan, kernel, program);
  }
}

/**
 * Checks a plan against the grammar of plans (PLAN_RULES), on its own and for some calls.
 *
 * @param calls Sizes of calls that are gone through, dispatch by dispatch.
 * @returns The plan.
 * @throws PlanFault (a RangeError) that names plan, kernel and rule: a defect of the planner.
 */
export function verifyPlan(plan: Plan, calls: readonly CallSize[] = SAMPLE_CALLS): Plan {
  verifyNames(plan);
  verifyResources(plan);
  verifyStages(plan);
  for (const kernel of plan.kernels) verifyKernel(plan, kernel);
  for (const call of calls) verifyCall(plan, call);
  return plan;
}
