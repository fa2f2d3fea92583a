/** What a launch executed, and what it cost in units that hardware has rates for. Exact and repeatable. */
export interface Counters {
  readonly blocks: number;
  /** Warp instructions issued; one whose predicate is off in every lane is issued too, and counted. Diverged lanes issue their own. */
  readonly warpInstructions: number;
  /** Warp instructions by opcode and what tells its kinds apart: `mma.m16n8k16`, `ldmatrix.x4`, `ex2`, `fma.f32`, `ld.shared`. */
  readonly opcodes: Readonly<Record<string, number>>;
  readonly mma: Readonly<Record<string, number>>;
  /** Multiply-adds of all `mma`: m·n·k each. */
  readonly tensorMultiplyAdds: number;
  /** Active lanes of f32 fma, mad, mul, add, sub, min and max, one each (f32x2: two): work of the f32 lanes. */
  readonly laneFma: number;
  /** Active lanes of ex2, lg2, rcp, rsqrt, sqrt, sin, cos and tanh. */
  readonly specialFunctions: number;
  /** 128-byte wavefronts of shared memory: ld, st, ldmatrix, stmatrix, atomics and what cp.async writes. */
  readonly sharedWavefronts: number;
  /** Wavefronts beyond the least that each access could take. */
  readonly sharedConflicts: number;
  readonly ldmatrixConflicts: number;
  /** Distinct 32-byte sectors of each warp's access; no cache is modelled. */
  readonly globalSectorsRead: number;
  readonly globalSectorsWritten: number;
  /** Bytes that lanes store or change: fewer than 32 for each sector written where sectors are written in part. */
  readonly globalBytesWritten: number;
  /** Warps' arrivals at bar and barrier. */
  readonly barriers: number;
}

function addRecords(list: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const record of list) {
    for (const [name, count] of Object.entries(record)) sum[name] = (sum[name] ?? 0) + count;
  }
  return sum;
}

/** The sum of several launches' counters. */
export function addCounters(list: readonly Counters[]): Counters {
  const sum = (pick: (counters: Counters) => number) =>
    list.reduce((total, counters) => total + pick(counters), 0);
  return {
    blocks: sum((counters) => counters.blocks),
    warpInstructions: sum((counters) => counters.warpInstructions),
    opcodes: addRecords(list.map((counters) => counters.opcodes)),
    mma: addRecords(list.map((counters) => counters.mma)),
    tensorMultiplyAdds: sum((counters) => counters.tensorMultiplyAdds),
    laneFma: sum((counters) => counters.laneFma),
    specialFunctions: sum((counters) => counters.specialFunctions),
    sharedWavefronts: sum((counters) => counters.sharedWavefronts),
    sharedConflicts: sum((counters) => counters.sharedConflicts),
    ldmatrixConflicts: sum((counters) => counters.ldmatrixConflicts),
    globalSectorsRead: sum((counters) => counters.globalSectorsRead),
    globalSectorsWritten: sum((counters) => counters.globalSectorsWritten),
    globalBytesWritten: sum((counters) => counters.globalBytesWritten),
    barriers: sum((counters) => counters.barriers),
  };
}

/** Multiply-adds of one `mma` by its shape's name. */
export function shapeVolume(shape: string): number {
  const found = /^m(\d+)n(\d+)k(\d+)$/.exec(shape);
  return found === null ? 0 : Number(found[1]) * Number(found[2]) * Number(found[3]);
}
