import type { Target } from "../../../runtime/contract/index.ts";
import { cudaArchitecture } from "../architectures.ts";
import { WEBGPU_DEFAULT_LIMITS } from "../limits.ts";
import { cudaMachine, webgpuMachine } from "../machine/index.ts";
import type { Machine } from "../machine.ts";
import type { Gpu } from "./gpu.ts";

/** A GPU as the planner sees it through a target; null where it does not serve the target. */
export function gpuMachine(gpu: Gpu, target: Target): Machine | null {
  for (const each of gpu.targets) {
    if (each.target !== target) continue;
    if (each.target === "webgpu") {
      const { workgroupBytes, features } = each;
      return webgpuMachine({ ...WEBGPU_DEFAULT_LIMITS, workgroupBytes, features });
    }
    const architecture = cudaArchitecture(each.architecture);
    if (architecture === null) throw new RangeError(`${gpu.name} names no architecture of the table`);
    return cudaMachine(architecture);
  }
  return null;
}
