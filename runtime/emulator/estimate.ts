import type { Counters } from "./counters.ts";

/**
 * Cycles of one multiprocessor, estimated from exact counts: no timing, since latencies, caches and global memory are left out.
 * By the unit that is busy (rates of sm_80, per SM and cycle).
 */
export interface CycleEstimate {
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

/** How long each unit is busy with what was counted. */
export function estimateCycles(counters: Counters): CycleEstimate {
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
export function boundOf(cycles: CycleEstimate): {
  readonly unit: keyof CycleEstimate;
  readonly cycles: number;
} {
  const units: readonly (keyof CycleEstimate)[] = ["issue", "tensor", "shared", "special", "f32"];
  const unit = units.reduce((most, each) => (cycles[each] > cycles[most] ? each : most));
  return { unit, cycles: cycles[unit] };
}

/** The sum over the units: as if nothing overlapped. */
export function totalCycles(cycles: CycleEstimate): number {
  return cycles.issue + cycles.tensor + cycles.shared + cycles.special + cycles.f32;
}
