import { type CallSize, type ExpandedPlan, expandPlan } from "../contract/expand.ts";
import { tensorBytes } from "../contract/layout.ts";
import { place } from "../contract/messages.ts";
import type { Plan } from "../contract/plan.ts";
import { resultsOf } from "../contract/results.ts";
import { whatFits } from "../contract/what-fits.ts";
import type { Excess, SizeChecks, SizeLimits } from "./backend.ts";

/** The checks of calls against limits. */
export function sizeChecks(limits: SizeLimits): SizeChecks {
  return {
    checkCall: (plan, size, expanded) => checkCall(limits, plan, size, expanded),
    checkOutput: (plan, size) => checkOutput(limits, plan, size),
  };
}

function checkCall(limits: SizeLimits, plan: Plan, size: CallSize, expanded: ExpandedPlan): void {
  const excess = limits.findExcess(expanded);
  if (excess === null) return;
  throw limits.error(excess.fault, `${excess.message} ${shown(size)}`, {
    remedy: whatFits(size, (candidate) => limits.findExcess(expandPlan(plan, candidate)) === null),
    kernel: excess.kernel,
  });
}

function checkOutput(limits: SizeLimits, plan: Plan, size: CallSize): void {
  const { name, bytes } = largestResult(plan, size);
  const excess = limits.findOutputExcess(bytes);
  if (excess === null) return;
  const fits = (candidate: CallSize): boolean =>
    limits.findOutputExcess(largestResult(plan, candidate).bytes) === null;
  throw limits.error("memory", `the result ${name} needs ${excess} ${shown(size)}`, {
    remedy: whatFits(size, fits),
  });
}

function largestResult(plan: Plan, size: CallSize): { readonly name: string; readonly bytes: number } {
  return resultsOf(plan, size, size.R > 0)
    .map((result) => ({ name: result.name, bytes: tensorBytes(result) }))
    .reduce((largest, each) => (each.bytes > largest.bytes ? each : largest));
}

function shown({ B, Lq, Lk }: CallSize): string {
  return `(B = ${B}, Lq = ${Lq}, Lk = ${Lk})`;
}

/** What the target calls a launch, the units of its grid, and their limits along x, y and z. */
export interface GridWords {
  readonly launch: string;
  readonly units: string;
  readonly limits: readonly [string, string, string];
}

/** The first dispatch that needs more along an axis than the device takes. */
export function findGridExcess(
  { dispatches }: ExpandedPlan,
  most: readonly [number, number, number],
  { launch, units, limits }: GridWords,
): Excess | null {
  for (const { kernel, grid } of dispatches) {
    const axis = grid.findIndex((count, index) => count > (most[index] ?? 0));
    if (axis < 0) continue;
    const [count = 0, limit = 0] = [grid[axis], most[axis]];
    const message =
      `a ${launch}${place(kernel.name, kernel.source)} needs ${count} ${units} along ${"xyz"[axis]}, ${count - limit} more ` +
      `than the device's ${limit} (${limits[axis]})`;
    return { fault: "grid", message, kernel };
  }
  return null;
}
