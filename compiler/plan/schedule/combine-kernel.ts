import type { CombineProgram } from "../../../runtime/contract/index.ts";
import { bind, type KernelResources, storageBufferCount } from "../bindings.ts";
import { registerFault } from "../fit.ts";
import { valueBlocks } from "../layout.ts";
import type { GpuTask } from "../machine.ts";
import type { Combining } from "./combined.ts";
import { planEpilogue } from "./epilogue.ts";
import type { RowKernel } from "./passes.ts";
import { productRegisters } from "./registers.ts";

/** Where workgroups leave what they find: of each row its values, not yet divided by the softmax's sum, the maximum, the sum. */
export const PARTS = "partial_results";

/** Words of a row's part beside its values. */
const STATISTICS = 2;

/**
 * The kernel that adds up what workgroups have found that share keys; null where the machine has none, or where the kernel that leaves the parts
 * would bind more buffers than there are.
 *
 * @param resources What that kernel binds beside them.
 */
export function combining(task: GpuTask, resources: KernelResources): Combining | null {
  const { pipeline, machine } = task;
  const { combine } = machine.fused;
  if (combine === null) return null;
  const { tileQ, workgroup } = combine;
  if (storageBufferCount(bind(task, resources)) + 1 > machine.limits.storageBuffers) return null;
  const outputBlocks = Math.ceil(((tileQ / 4) * valueBlocks(pipeline)) / workgroup);
  const registers = productRegisters(outputBlocks);
  const fitted = planEpilogue(task, tileQ, workgroup, Math.floor(machine.limits.workgroupBytes / 4));
  if (!fitted.fits || registerFault(machine, { blocks: outputBlocks, words: registers }) !== null)
    return null;
  const { epilogue, words: arenaWords } = fitted.value;
  const program: CombineProgram = { kind: "combine", tileQ, outputBlocks, epilogue, arenaWords };
  const kernel: RowKernel = {
    name: "combine",
    program,
    source: pipeline.output[0]?.source ?? pipeline.source,
    workgroup,
    workgroupBytes: 4 * arenaWords,
    registers,
    read: [PARTS, "parameters"],
    written: ["o", "lse"],
    tileRows: tileQ,
    headBlocks: pipeline.heads,
  };
  const words = pipeline.valueDim + STATISTICS;
  return {
    widely: combine,
    kernel,
    workspace: (rows) => [{ name: PARTS, bytes: ["max", 16, ["mul", 4 * words, rows]] }],
  };
}
