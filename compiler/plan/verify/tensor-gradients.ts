import type { KernelPlan, Plan, TensorGradientProgram } from "../../../runtime/contract/index.ts";
import { demandIn } from "./rules.ts";
import { rowBytes } from "./tensor.ts";

/** Rows of 16-bit elements that a kernel keeps in shared memory. */
function heldRows(program: Exclude<TensorGradientProgram, { kind: "tensor_largest" }>): number {
  switch (program.kind) {
    case "tensor_pairs":
      return program.warps * 16 * program.rowBlocks + program.tileK;
    case "tensor_row_product":
      return 2 * program.tileK;
    case "tensor_key_product":
      return 2 * program.tileQ;
  }
}

/** A kernel on tensor cores that only a backward pass has. */
export function verifyTensorGradient(plan: Plan, kernel: KernelPlan, program: TensorGradientProgram): void {
  const demand = demandIn(plan, kernel.name);
  demand("workgroup", kernel.workgroupSize === program.warps * 32, () => `${program.warps} warps`);
  if (program.kind === "tensor_largest") {
    demand("workgroup", program.parts >= 1, () => `${program.parts} parts`);
    return;
  }
  const { headDim, valueDim } = plan.pipeline;
  const least = rowBytes(program.of === "k" ? headDim : valueDim);
  demand("places", program.rowBytes === least, () => `rows of ${program.rowBytes} bytes, not ${least}`);
  const bytes = heldRows(program) * program.rowBytes;
  demand(
    "places",
    bytes <= program.sharedBytes && program.sharedBytes <= kernel.workgroupBytes,
    () => `${bytes} bytes of rows in ${program.sharedBytes}`,
  );
  const step = program.kind === "tensor_key_product" ? program.tileQ : program.tileK;
  demand("granules", step >= 32 && step % 32 === 0, () => `steps of ${step}`);
  // What is scaled is divided by what one kernel before it has found.
  const reads = kernel.bindings.some(({ operand }) => operand?.variable === "largest");
  demand(
    "bindings",
    reads === program.scaled,
    () => `${program.scaled ? "no" : "a"} buffer of largest entries`,
  );
}
