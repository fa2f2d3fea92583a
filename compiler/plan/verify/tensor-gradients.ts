import {
  adjointReach,
  convReach,
  type KernelPlan,
  type Plan,
  sourceKeys,
  type TensorConvGradientProgram,
  type TensorConvProgram,
  type TensorGradientProgram,
} from "../../../runtime/contract/index.ts";
import { demandIn } from "./rules.ts";
import { linearAt } from "./stages.ts";
import { rowBytes } from "./tensor.ts";

/** What multiplies rows of the call. */
type Multiplying = Exclude<
  TensorGradientProgram,
  {
    kind:
      | "tensor_largest"
      | "tensor_conv"
      | "tensor_conv_gradient"
      | "tensor_map_mix"
      | "tensor_mix_gradient";
  }
>;

/** Rows of 16-bit elements that a kernel keeps in shared memory. */
function heldRows(program: Multiplying): number {
  switch (program.kind) {
    case "tensor_pairs":
      return program.warps * 16 * program.rowBlocks + 2 * program.tileK;
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
  // What is scaled is divided by what kernels before it have recorded.
  const bound = kernel.bindings.some(({ operand }) => operand?.variable === "largest");
  const asked = [
    ...("scale" in program && program.scale !== null ? [program.scale] : []),
    ...("records" in program && program.records !== undefined ? [program.records] : []),
  ];
  demand("bindings", bound === asked.length > 0, () => `${bound ? "a" : "no"} buffer of largest entries`);
  demand(
    "places",
    asked.every(({ at, of }) => at >= 0 && at < of),
    () => asked.map(({ at, of }) => `entry ${at} of ${of}`).join(", "),
  );
  if (program.kind === "tensor_largest") {
    demand("workgroup", program.parts >= 1, () => `${program.parts} parts`);
    return;
  }
  if (program.kind === "tensor_conv" || program.kind === "tensor_conv_gradient") {
    checkConv(plan, kernel, program);
    return;
  }
  if (program.kind === "tensor_map_mix" || program.kind === "tensor_mix_gradient") {
    const { group } = linearAt(demand, plan.pipeline, program.stage, "mix");
    demand(
      "heads",
      program.heads % group === 0 && program.heads <= 16,
      () => `${program.heads} heads of a fragment for groups of ${group}`,
    );
    demand("granules", program.blockKeys % 32 === 0, () => `${program.blockKeys} keys of a block`);
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
  if (program.kind === "tensor_pairs")
    demand(
      "granules",
      program.blockKeys % step === 0,
      () => `${program.blockKeys} keys of a block in steps of ${step}`,
    );
}

type Convolving = TensorConvProgram | TensorConvGradientProgram;

/** Bytes of its tiles, and of what a block adds up at the end. */
function convBytes(program: Convolving, pairs: number): number {
  const { warps } = program;
  if (program.kind === "tensor_conv")
    return (warps * 16 + 2 * pairs) * program.rowBytes * (program.precision === "exact" ? 2 : 1);
  const { rowBlocks, rowBytes: row, granulesLeft, granulesRight } = program;
  const rows = warps * 16 * rowBlocks;
  const products = warps * pairs * (granulesLeft + granulesRight + 1) * PRODUCT_BYTES;
  return Math.max((rows + 2 * pairs) * row.d + rows * row.source, products);
}

function checkConv(plan: Plan, kernel: KernelPlan, program: Convolving): void {
  const demand = demandIn(plan, kernel.name);
  const stage = linearAt(demand, plan.pipeline, program.stage, "conv");
  const { tileK, blockKeys, granulesLeft, granulesRight, rowBytes: row, sharedBytes } = program;
  const adjoint = program.kind === "tensor_conv" && program.adjoint;
  const { left, right } = adjoint ? adjointReach(convReach(stage)) : convReach(stage);
  demand(
    "heads",
    stage.across === 1 && stage.dilation.query === 1 && stage.dilation.key === 1,
    () => `${stage.name} reads other heads, or leaves entries out`,
  );
  demand("granules", tileK % 16 === 0 && blockKeys % tileK === 0, () => `${tileK} of ${blockKeys} keys`);
  demand(
    "carry",
    granulesLeft * 8 >= left && granulesRight * 8 >= right,
    () => `${granulesLeft} + ${granulesRight} blocks of keys`,
  );
  const [d, source] = typeof row === "number" ? [row, row] : [row.d, row.source];
  demand(
    "places",
    d >= rowBytes(tileK) && source >= rowBytes(sourceKeys(program)),
    () => `rows of ${d} and ${source} bytes`,
  );
  const bytes = convBytes(program, Math.ceil(stage.kernel.query / 2));
  demand(
    "places",
    bytes <= sharedBytes && sharedBytes <= kernel.workgroupBytes,
    () => `${bytes} bytes in ${sharedBytes}`,
  );
}

/** Bytes of sixteen by eight f32. */
const PRODUCT_BYTES = 512;
