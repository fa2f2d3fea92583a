import { outputBytes } from "../contract/call.ts";
import { type CallSize, type ExpandedPlan, expandPlan } from "../contract/expand.ts";
import { formatBytes, place } from "../contract/messages.ts";
import type { KernelPlan, Plan } from "../contract/plan.ts";
import { whatFits } from "../contract/what-fits.ts";
import type { CudaProperties } from "./backend.ts";
import { CudaError } from "./errors.ts";

type SizeLimits = Pick<CudaProperties, "grid" | "memoryBytes">;

interface Excess {
  readonly code: "MTA830" | "MTA832";
  readonly message: string;
  readonly kernel: KernelPlan | null;
}

/**
 * Checks that workspace and grids of a call stay within the device's limits.
 *
 * @throws CudaError MTA830 (grid), MTA832 (workspace larger than the device's memory): by how much, and what would fit.
 */
export function checkLimits(limits: SizeLimits, plan: Plan, size: CallSize, expanded: ExpandedPlan): void {
  const excess = findExcess(limits, expanded);
  if (excess === null) return;
  const fits = (candidate: CallSize): boolean => findExcess(limits, expandPlan(plan, candidate)) === null;
  throw new CudaError(excess.code, `${excess.message} (B = ${size.B}, Lq = ${size.Lq}, Lk = ${size.Lk})`, {
    remedy: whatFits(size, fits),
    kernel: excess.kernel?.name ?? null,
    source: excess.kernel?.source ?? null,
  });
}

/**
 * Checks the size of a call's result before its launches are counted: a size beyond all bounds would have as many.
 *
 * @throws CudaError MTA832
 */
export function checkOutputSize({ memoryBytes }: SizeLimits, plan: Plan, size: CallSize): void {
  const bytes = outputBytes(plan, size);
  if (bytes <= memoryBytes) return;
  const { B, Lq, Lk } = size;
  const message = `the result o needs ${formatBytes(bytes)}; the device's memory has ${formatBytes(memoryBytes)}`;
  throw new CudaError("MTA832", `${message} (B = ${B}, Lq = ${Lq}, Lk = ${Lk})`, {
    remedy: whatFits(size, (candidate) => outputBytes(plan, candidate) <= memoryBytes),
  });
}

function findExcess({ grid: most, memoryBytes }: SizeLimits, expanded: ExpandedPlan): Excess | null {
  const bytes = expanded.workspace.reduce((sum, buffer) => sum + buffer.bytes, 0);
  if (bytes > memoryBytes) {
    const message =
      `the workspace needs ${formatBytes(bytes)}, ${formatBytes(bytes - memoryBytes)} more than the device's memory ` +
      `(${formatBytes(memoryBytes)})`;
    return { code: "MTA832", message, kernel: null };
  }
  for (const { kernel, grid } of expanded.dispatches) {
    const axis = grid.findIndex((count, index) => count > (most[index] ?? 0));
    if (axis < 0) continue;
    const [count = 0, limit = 0] = [grid[axis], most[axis]];
    const message =
      `a launch${place(kernel.name, kernel.source)} needs ${count} blocks along ${"xyz"[axis]}, ${count - limit} more than ` +
      `the device's ${limit} (MAX_GRID_DIM_${"XYZ"[axis]})`;
    return { code: "MTA830", message, kernel };
  }
  return null;
}
