import type { TargetLimits } from "../plan/index.ts";

/** What plans may use of a device. */
export function limitsOf({ limits, features }: Pick<GPUDevice, "limits" | "features">): TargetLimits {
  return {
    workgroupBytes: limits.maxComputeWorkgroupStorageSize,
    invocations: Math.min(limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupSizeX),
    storageBuffers: limits.maxStorageBuffersPerShaderStage,
    features: [...features].filter((feature) => feature === "shader-f16"),
  };
}
