import type { Counters } from "../../runtime/cuda/index.ts";

/** Cycles of one multiprocessor, by the unit that is busy (rates of sm_80, per SM and cycle). */
export interface Estimate {
  /** Four warp instructions issued. */
  readonly issue: number;
  /** Half an mma.m16n8k16, one m16n8k8. */
  readonly tensor: number;
  /** One 128-byte wavefront of shared memory. */
  readonly shared: number;
  /** Sixteen special functions. */
  readonly special: number;
  /** Sixty-four lanes of f32. */
  readonly f32: number;
}

export function estimate(counters: Counters): Estimate {
  const { mma } = counters;
  return {
    issue: counters.warpInstructions / 4,
    tensor: (mma["m16n8k16"] ?? 0) * 2 + (mma["m16n8k8"] ?? 0),
    shared: counters.sharedWavefronts,
    special: counters.specialFunctions / 16,
    f32: counters.laneFma / 64,
  };
}

/** The unit that takes longest: what the kernel is bound by. */
export function bound(cycles: Estimate): { readonly unit: keyof Estimate; readonly cycles: number } {
  const units: readonly (keyof Estimate)[] = ["issue", "tensor", "shared", "special", "f32"];
  const unit = units.reduce((most, each) => (cycles[each] > cycles[most] ? each : most));
  return { unit, cycles: cycles[unit] };
}

export function total(cycles: Estimate): number {
  return cycles.issue + cycles.tensor + cycles.shared + cycles.special + cycles.f32;
}
