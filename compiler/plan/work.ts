/** What a kernel does over a whole call: counts that no device's rates have gone into. A count of 0 bounds nothing. */
export interface WorkCounts {
  /** Multiply-adds of f16 or bf16 that matrix units accumulate in f32. */
  readonly matrixMultiplyAdds: number;
  /** Multiply-adds, and what takes as long, of single f32 lanes. */
  readonly f32MultiplyAdds: number;
  /** Exponentials, reciprocals, …, of single lanes. */
  readonly specialFunctions: number;
  /** All instructions, by warps of 32 lanes. Of WGSL, whose instructions nobody can count, what the planner fitted. */
  readonly instructions: number;
  /** Bytes between workgroup (shared) memory and registers; on CUDA what the first-level cache delivers, too. */
  readonly sharedBytes: number;
  /** Bytes that multiprocessors ask of the cache they share, or write to it. */
  readonly cacheBytes: number;
  /** Those of them that are maps of the workspace: they come from device memory where the cache cannot hold the maps. */
  readonly mapBytes: number;
}

export interface CountedKernel extends WorkCounts {
  readonly kernel: string;
}

/** What one block (workgroup) takes of the multiprocessor that runs it. */
export interface BlockDemand {
  readonly threads: number;
  /** Bytes of shared memory. */
  readonly sharedBytes: number;
  /** Registers of a thread; 0 where nobody knows them. */
  readonly registers: number;
  /** Instructions of a block's slowest warp, one after the other, where some warps wait for others at barriers; else 0. */
  readonly criticalPath: number;
  /** Whether operands are copied ahead of their use, so that few warps suffice to hide how long loads take. */
  readonly copiesAhead: boolean;
}

/** All that a kernel's time follows from, whichever lowering it comes from: see `estimate` and `roofline`. */
export interface KernelWork extends CountedKernel {
  /** How often a call launches it: the counts are of all launches together, and so are the blocks. */
  readonly launches: number;
  readonly blocks: number;
  readonly barriers: number;
  readonly block: BlockDemand;
}

/** A kernel as a device sees it. */
export interface KernelSize {
  /** Unique in the plan. */
  readonly name: string;
  readonly workgroup: number;
  /** Bytes of workgroup memory. */
  readonly workgroupBytes: number;
  /** Registers of an invocation, about. */
  readonly registers: number;
}

/** A kernel's work, from its size and its counts. */
export function workOf(
  kernel: KernelSize,
  counts: WorkCounts,
  {
    blocks,
    launches = 1,
    barriers = 0,
    criticalPath = 0,
    copiesAhead = false,
  }: Pick<KernelWork, "blocks"> & Partial<KernelWork & BlockDemand>,
): KernelWork {
  const { name, workgroup: threads, workgroupBytes: sharedBytes, registers } = kernel;
  const block = { threads, sharedBytes, registers, criticalPath, copiesAhead };
  return { kernel: name, ...counts, blocks, launches, barriers, block };
}

export const NO_COUNTS: WorkCounts = {
  matrixMultiplyAdds: 0,
  f32MultiplyAdds: 0,
  specialFunctions: 0,
  instructions: 0,
  sharedBytes: 0,
  cacheBytes: 0,
  mapBytes: 0,
};

export function timesCounts(counts: WorkCounts, times: number): WorkCounts {
  return {
    matrixMultiplyAdds: counts.matrixMultiplyAdds * times,
    f32MultiplyAdds: counts.f32MultiplyAdds * times,
    specialFunctions: counts.specialFunctions * times,
    instructions: counts.instructions * times,
    sharedBytes: counts.sharedBytes * times,
    cacheBytes: counts.cacheBytes * times,
    mapBytes: counts.mapBytes * times,
  };
}

/** All of a kernel's multiply-adds, whatever does them. */
export function multiplyAddsOf({ matrixMultiplyAdds, f32MultiplyAdds }: WorkCounts): number {
  return matrixMultiplyAdds + f32MultiplyAdds;
}

/** Lanes of a warp. */
export const WARP = 32;
/** Multiply-adds of one `mma.m16n8k16`. */
export const MMA_MULTIPLY_ADDS = 2048;
/** Bytes of one transfer between shared memory and registers: 32 banks of four bytes. */
export const WAVEFRONT_BYTES = 128;
