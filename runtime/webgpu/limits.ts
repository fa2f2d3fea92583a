import { outputBytes } from "../contract/call.ts";
import { type CallSize, type ExpandedPlan, expandPlan } from "../contract/expand.ts";
import { formatBytes, place } from "../contract/messages.ts";
import type { Plan } from "../contract/plan.ts";
import { whatFits } from "../contract/what-fits.ts";
import { GpuError } from "./errors.ts";

type SizeLimits = Pick<
  GPUSupportedLimits,
  "maxBufferSize" | "maxStorageBufferBindingSize" | "maxComputeWorkgroupsPerDimension"
>;

/**
 * Checks that workspace and grids of a call stay within the device's limits.
 *
 * @throws GpuError MTA730 (workgroups), MTA731 (buffer size): which limit, by how much, and what would fit.
 */
export function checkLimits(limits: SizeLimits, plan: Plan, size: CallSize, expanded: ExpandedPlan): void {
  const excess = findExcess(limits, expanded);
  if (excess === null) return;
  const fits = (candidate: CallSize): boolean => findExcess(limits, expandPlan(plan, candidate)) === null;
  throw new GpuError(excess.code, `${excess.message} (B = ${size.B}, Lq = ${size.Lq}, Lk = ${size.Lk})`, {
    remedy: whatFits(size, fits),
    kernel: excess.kernel?.name ?? null,
    source: excess.kernel?.source ?? null,
  });
}

/**
 * Checks the size of a call's result before its dispatches are counted: a size beyond all bounds would have as many.
 *
 * @throws GpuError MTA731
 */
export function checkOutputSize(limits: SizeLimits, plan: Plan, size: CallSize): void {
  const limit = Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize);
  const bytes = outputBytes(plan, size);
  if (bytes <= limit) return;
  const { B, Lq, Lk } = size;
  const message = `the result o needs ${formatBytes(bytes)}, ${formatBytes(bytes - limit)} more than the device allows in one buffer`;
  throw new GpuError("MTA731", `${message} (B = ${B}, Lq = ${Lq}, Lk = ${Lk})`, {
    remedy: whatFits(size, (candidate) => outputBytes(plan, candidate) <= limit),
  });
}

interface Excess {
  readonly code: "MTA730" | "MTA731";
  readonly message: string;
  readonly kernel: Plan["kernels"][number] | null;
}

function findExcess(limits: SizeLimits, expanded: ExpandedPlan): Excess | null {
  const binding = limits.maxStorageBufferBindingSize <= limits.maxBufferSize;
  const limit = binding ? limits.maxStorageBufferBindingSize : limits.maxBufferSize;
  for (const { name, bytes } of expanded.workspace) {
    if (bytes <= limit) continue;
    const message =
      `the workspace "${name}" needs ${formatBytes(bytes)}, ${formatBytes(bytes - limit)} more than the device's ` +
      `${formatBytes(limit)} (${binding ? "maxStorageBufferBindingSize" : "maxBufferSize"})`;
    return { code: "MTA731", message, kernel: null };
  }
  const groups = limits.maxComputeWorkgroupsPerDimension;
  for (const { kernel, grid } of expanded.dispatches) {
    const axis = grid.findIndex((count) => count > groups);
    if (axis < 0) continue;
    const count = grid[axis] ?? 0;
    const message =
      `a dispatch${place(kernel.name, kernel.source)} needs ${count} workgroups along ${"xyz"[axis]}, ${count - groups} ` +
      `more than the device's ${groups} (maxComputeWorkgroupsPerDimension)`;
    return { code: "MTA730", message, kernel };
  }
  return null;
}
