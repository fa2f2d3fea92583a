import type { CudaWork } from "./cuda-cost.ts";

/**
 * What one kernel of a plan does over a whole call: counts that no device's rates have gone into. A count of 0 bounds nothing:
 * that is how work shows which the planner of a target does not count (see `Candidate.work`).
 */
export interface KernelWork {
  readonly kernel: string;
  /** Multiply-adds of f16 or bf16 that matrix units accumulate in f32. */
  readonly matrixMultiplyAdds: number;
  /** Multiply-adds, and what takes as long, of single f32 lanes. */
  readonly f32MultiplyAdds: number;
  /** Exponentials, reciprocals, …, of single lanes. */
  readonly specialFunctions: number;
  /** All instructions, by warps of 32 lanes. */
  readonly instructions: number;
  /** Bytes between workgroup (shared) memory and registers; on CUDA what the first-level cache delivers, too. */
  readonly sharedBytes: number;
  /** Bytes that multiprocessors ask of the cache they share, or write to it. */
  readonly cacheBytes: number;
  /** Those of them that are maps of the workspace: they come from device memory where the cache cannot hold the maps. */
  readonly mapBytes: number;
}

/** Counts of a kernel whose name its schedule knows. */
export type WorkCounts = Omit<KernelWork, "kernel">;

export const NO_COUNTS: WorkCounts = {
  matrixMultiplyAdds: 0,
  f32MultiplyAdds: 0,
  specialFunctions: 0,
  instructions: 0,
  sharedBytes: 0,
  cacheBytes: 0,
  mapBytes: 0,
};

/** Multiply-adds of one `mma.m16n8k16`. */
export const MMA_MULTIPLY_ADDS = 2048;
/** Bytes of one transfer between shared memory and registers: 32 banks of four bytes. */
export const WAVEFRONT_BYTES = 128;

/** The counts of a CUDA kernel that is launched so many times with the given work. */
export function countsOf(
  work: Pick<
    CudaWork,
    "mma" | "f32LaneOps" | "specialFunctions" | "warpInstructions" | "sharedWavefronts" | "globalBytes"
  >,
  launches: number,
  mapBytes: number,
): WorkCounts {
  return {
    matrixMultiplyAdds: work.mma * MMA_MULTIPLY_ADDS * launches,
    f32MultiplyAdds: work.f32LaneOps * launches,
    specialFunctions: work.specialFunctions * launches,
    instructions: work.warpInstructions * launches,
    sharedBytes: work.sharedWavefronts * WAVEFRONT_BYTES * launches,
    cacheBytes: work.globalBytes * launches,
    mapBytes,
  };
}
