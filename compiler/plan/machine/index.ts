import type { Target } from "../../../runtime/contract/index.ts";
import type { TargetLimits } from "../limits.ts";
import type { Machine } from "../machine.ts";
import { cudaMachine } from "./cuda.ts";
import { webgpuMachine } from "./webgpu.ts";

export { cudaMachine } from "./cuda.ts";
export { webgpuMachine, withStorage } from "./webgpu.ts";

/**
 * The machine that a target's limits describe.
 * @throws RangeError for `cuda` with limits that name no architecture: `cudaLimits` makes such that do.
 */
export function machineOf(target: Target, limits: TargetLimits): Machine {
  if (target === "webgpu") return webgpuMachine(limits);
  const { architecture } = limits;
  if (architecture === undefined) throw new RangeError("a CUDA device's limits name its architecture");
  return cudaMachine(architecture);
}
