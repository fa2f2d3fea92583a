import type { ExpandedPlan } from "../contract/expand.ts";
import { formatBytes } from "../contract/messages.ts";
import type { Requirements } from "../contract/plan.ts";
import type { Excess } from "../launcher/backend.ts";
import { findGridExcess } from "../launcher/limits.ts";
import { shortfalls } from "../launcher/plan-choice.ts";

/** What a device offers to plans; a GPUDevice is one. */
export interface DeviceCapabilities {
  readonly limits: Pick<
    GPUSupportedLimits,
    | "maxComputeWorkgroupStorageSize"
    | "maxComputeInvocationsPerWorkgroup"
    | "maxComputeWorkgroupSizeX"
    | "maxStorageBuffersPerShaderStage"
  >;
  readonly features: { has(feature: string): boolean };
}

/** What the device lacks, as phrases with the size of each gap. */
export function findShortfalls(requires: Requirements, { limits, features }: DeviceCapabilities): string[] {
  const { maxComputeInvocationsPerWorkgroup: invocations, maxComputeWorkgroupSizeX: alongX } = limits;
  const gaps = shortfalls([
    {
      what: "of workgroup memory",
      limit: "maxComputeWorkgroupStorageSize",
      needed: requires.workgroupBytes,
      available: limits.maxComputeWorkgroupStorageSize,
      show: formatBytes,
    },
    {
      what: "invocations a workgroup",
      limit: "maxComputeInvocationsPerWorkgroup",
      needed: requires.invocations,
      available: invocations,
    },
    // All kernels are one-dimensional, so the x axis limits them too.
    ...(alongX < invocations
      ? [
          {
            what: "invocations along x",
            limit: "maxComputeWorkgroupSizeX",
            needed: requires.invocations,
            available: alongX,
          },
        ]
      : []),
    {
      what: "storage buffers",
      limit: "maxStorageBuffersPerShaderStage",
      needed: requires.storageBuffers,
      available: limits.maxStorageBuffersPerShaderStage,
    },
  ]);
  const missing = requires.features.filter((feature) => !features.has(feature));
  return [...gaps, ...missing.map((feature) => `needs the feature ${feature}`)];
}

/** What bounds the size of a call; a device's limits have it. */
export type SizeLimits = Pick<
  GPUSupportedLimits,
  "maxBufferSize" | "maxStorageBufferBindingSize" | "maxComputeWorkgroupsPerDimension"
>;

/** As `Backend.findExcess`. */
export function findExcess(limits: SizeLimits, expanded: ExpandedPlan): Excess | null {
  const binding = limits.maxStorageBufferBindingSize <= limits.maxBufferSize;
  const limit = binding ? limits.maxStorageBufferBindingSize : limits.maxBufferSize;
  const large = expanded.workspace.find(({ bytes }) => bytes > limit);
  if (large !== undefined) {
    const { name, bytes } = large;
    const message =
      `the workspace "${name}" needs ${formatBytes(bytes)}, ${formatBytes(bytes - limit)} more than the device's ` +
      `${formatBytes(limit)} (${binding ? "maxStorageBufferBindingSize" : "maxBufferSize"})`;
    return { fault: "memory", message, kernel: null };
  }
  const name = "maxComputeWorkgroupsPerDimension";
  const most = limits[name];
  return findGridExcess(expanded, [most, most, most], {
    launch: "dispatch",
    units: "workgroups",
    limits: [name, name, name],
  });
}

/** As `Backend.findOutputExcess`. */
export function findOutputExcess(limits: SizeLimits, bytes: number): string | null {
  const limit = Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize);
  if (bytes <= limit) return null;
  return `${formatBytes(bytes)}, ${formatBytes(bytes - limit)} more than the device allows in one buffer`;
}
