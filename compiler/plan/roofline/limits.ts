import type { Target } from "../../../runtime/contract/index.ts";
import { cudaArchitecture } from "../architectures.ts";
import { cudaLimits, type TargetLimits, WEBGPU_DEFAULT_LIMITS } from "../limits.ts";
import type { Gpu } from "./gpu.ts";

/** What plans may use of a GPU through a target; null where it does not serve the target. */
export function gpuLimits(gpu: Gpu, target: Target): TargetLimits | null {
  for (const each of gpu.targets) {
    if (each.target !== target) continue;
    if (each.target === "webgpu") {
      const { workgroupBytes, features } = each;
      return { ...WEBGPU_DEFAULT_LIMITS, workgroupBytes, features };
    }
    const architecture = cudaArchitecture(each.architecture);
    if (architecture === null) throw new RangeError(`${gpu.name} names no architecture of the table`);
    return cudaLimits(architecture);
  }
  return null;
}
