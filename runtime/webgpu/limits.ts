import type { Plan } from "../contract/plan.ts";
import { formatBytes, GpuError, place } from "./errors.ts";
import { type CallSize, type ExpandedPlan, expandPlan } from "./expand.ts";

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

/** The largest batch that fits, or, if not even one entry does, the largest share of query rows or keys. */
function whatFits(size: CallSize, fits: (size: CallSize) => boolean): string {
  const batch = largest(size.B - 1, (B) => fits({ ...size, B }));
  if (batch > 0) return `split the batch: at most ${batch} of the ${size.B} entries fit in one call`;
  const rows = largest(size.Lq - 1, (Lq) => fits({ ...size, B: 1, Lq }));
  if (rows > 0)
    return `split the query rows: at most ${rows} of the ${size.Lq} rows fit in one call with B = 1`;
  const keys = largest(size.Lk - 1, (Lk) => fits({ ...size, B: 1, Lq: Math.min(size.Lq, Lk), Lk }));
  return keys > 0
    ? `at most ${keys} of the ${size.Lk} keys fit in one call with B = 1; try another schedule`
    : "no smaller call fits either; try another schedule or another device";
}

/** The largest n in [1, most] for which `fits` holds, by bisection, or 0. */
function largest(most: number, fits: (n: number) => boolean): number {
  let low = 0;
  let high = most;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (fits(middle)) low = middle;
    else high = middle - 1;
  }
  return low;
}
