import type { ExpandedPlan } from "../contract/expand.ts";
import { formatBytes } from "../contract/messages.ts";
import type { Requirements } from "../contract/plan.ts";
import type { Excess } from "../launcher/backend.ts";
import { findGridExcess } from "../launcher/limits.ts";
import { shortfalls } from "../launcher/plan-choice.ts";
import type { CudaProperties } from "./backend.ts";

/** What the device lacks, as phrases with the size of each gap. */
export function findShortfalls(requires: Requirements, device: CudaProperties): string[] {
  const { computeCapability: needed = 0 } = requires;
  const lacks = shortfalls([
    {
      what: "of shared memory",
      limit: "MAX_SHARED_MEMORY_PER_BLOCK_OPTIN",
      needed: requires.workgroupBytes,
      available: device.sharedBytesPerBlock,
      show: formatBytes,
    },
    {
      what: "threads a block",
      limit: "MAX_THREADS_PER_BLOCK",
      needed: requires.invocations,
      available: device.threadsPerBlock,
    },
  ]);
  if (needed <= device.computeCapability) return lacks;
  const [least, own] = [capability(needed), capability(device.computeCapability)];
  return [`needs compute capability ${least}, the device has ${own}`, ...lacks];
}

/** `8.0` for 80. */
export function capability(value: number): string {
  return `${Math.floor(value / 10)}.${value % 10}`;
}

/** As `Backend.findExcess`. */
export function findExcess({ grid, memoryBytes }: CudaProperties, expanded: ExpandedPlan): Excess | null {
  const bytes = expanded.workspace.reduce((sum, buffer) => sum + buffer.bytes, 0);
  if (bytes > memoryBytes) {
    const message =
      `the workspace needs ${formatBytes(bytes)}, ${formatBytes(bytes - memoryBytes)} more than the device's memory ` +
      `(${formatBytes(memoryBytes)})`;
    return { fault: "memory", message, kernel: null };
  }
  return findGridExcess(expanded, grid, {
    launch: "launch",
    units: "blocks",
    limits: ["MAX_GRID_DIM_X", "MAX_GRID_DIM_Y", "MAX_GRID_DIM_Z"],
  });
}

/** As `Backend.findOutputExcess`. */
export function findOutputExcess({ memoryBytes }: CudaProperties, bytes: number): string | null {
  if (bytes <= memoryBytes) return null;
  return `${formatBytes(bytes)}; the device's memory has ${formatBytes(memoryBytes)}`;
}
