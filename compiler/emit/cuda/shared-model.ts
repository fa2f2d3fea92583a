import type { Plan } from "../../../runtime/contract/index.ts";
import { directOpsModel } from "./direct/model.ts";
import { preambleModel } from "./source-model.ts";

/** The model of `templates/cuda/preamble.cu.hbs`: everything that a plan's kernels share. */
export function sharedModel(plan: Plan) {
  const tensor = plan.kernels.some(({ program }) => program?.kind.startsWith("tensor_") ?? false);
  return {
    ...preambleModel(plan),
    ...(tensor
      ? { tensor: true as const, direct: false as const, bf16: plan.storage === "bf16-native" }
      : { tensor: false as const, direct: true as const, ...directOpsModel(plan) }),
  };
}
