import type { CudaArchitecture } from "./architectures.ts";

/** What a kernel does over a whole call, summed over its blocks, and what one block takes of a multiprocessor (SM). */
export interface CudaWork {
  /** `mma.m16n8k16` with f32 accumulation. */
  readonly mma: number;
  /** Fused multiply-adds and the like on f32 units, by lane. */
  readonly f32LaneOps: number;
  /** ex2, rcp, …, by lane. */
  readonly specialFunctions: number;
  /** All instructions, by warp. */
  readonly warpInstructions: number;
  /** 128-byte transfers between an SM's shared memory or first-level cache and its registers. */
  readonly sharedWavefronts: number;
  /** Bytes between the second-level cache and the SMs. */
  readonly globalBytes: number;
  readonly blocks: number;
  readonly threadsPerBlock: number;
  readonly sharedBytesPerBlock: number;
  readonly registersPerThread: number;
  /** Instructions of a block's slowest warp, one after the other, where some warps wait for others at barriers. */
  readonly criticalPath?: number;
}

export type CudaBound =
  | "tensor cores"
  | "f32 units"
  | "special functions"
  | "instruction issue"
  | "shared memory"
  | "global memory"
  | "latency"
  | "launch";

export interface CudaEstimate {
  /** Cycles of a whole device. */
  readonly time: number;
  /** Resident warps over those that an SM can hold. */
  readonly occupancy: number;
  /** What the kernel waits for most. */
  readonly bound: CudaBound;
  readonly registersPerThread: number;
}

/** Multiprocessors of the device that costs are predicted for: they scale all candidates alike. */
export const PROCESSORS = 108;
/** Device cycles that a launch costs. */
export const LAUNCH_CYCLES = 4000;
/** Bytes from the second-level cache per SM and cycle. */
const CACHE_BYTES = 32;
/** Instructions that an SM issues per cycle. */
const ISSUE = 4;
/** Units overlap, but not wholly: the share of the others' time that is not hidden behind the busiest one. */
const UNHIDDEN = 0.15;
/** Warps of an SM with which half of its latencies are hidden. */
const HALF_HIDDEN_WARPS = 3;
/** Cycles from one instruction of a warp to the next, where nothing else is known. */
const CYCLES_PER_INSTRUCTION = 2;
/** Each resident block takes so much shared memory beside its own. */
const RESERVED_SHARED_BYTES = 1024;
/** Registers are given to a warp in units of this. */
const REGISTER_UNIT = 256;

/** Blocks of a kernel that one SM holds at a time. */
export function residentBlocks(
  block: Pick<CudaWork, "threadsPerBlock" | "sharedBytesPerBlock" | "registersPerThread">,
  architecture: CudaArchitecture,
): number {
  const warps = Math.ceil(block.threadsPerBlock / 32);
  const registers = warps * Math.ceil((block.registersPerThread * 32) / REGISTER_UNIT) * REGISTER_UNIT;
  return Math.max(
    0,
    Math.min(
      architecture.blocksPerSm,
      Math.floor(architecture.threadsPerSm / (warps * 32)),
      Math.floor(architecture.sharedBytesPerSm / (block.sharedBytesPerBlock + RESERVED_SHARED_BYTES)),
      Math.floor(architecture.registersPerSm / registers),
    ),
  );
}

/** Predicted time of one kernel on a device of the architecture: the busiest unit, what it does not hide, idle SMs. */
export function estimate(work: CudaWork, architecture: CudaArchitecture): CudaEstimate {
  const bounds: readonly (readonly [CudaBound, number])[] = [
    ["tensor cores", work.mma / architecture.mma],
    ["f32 units", work.f32LaneOps / architecture.f32Lanes],
    ["special functions", work.specialFunctions / architecture.specialFunctions],
    ["instruction issue", work.warpInstructions / ISSUE],
    ["shared memory", work.sharedWavefronts],
    ["global memory", work.globalBytes / CACHE_BYTES],
  ];
  const [busiest, most] = bounds.reduce((a, b) => (b[1] > a[1] ? b : a));
  const rest = bounds.reduce((sum, [, cycles]) => sum + cycles, 0) - most;
  const resident = Math.max(1, residentBlocks(work, architecture));
  const blocks = Math.max(1, work.blocks);
  // Blocks are dealt to the SMs one by one: the SM with the most of them is done last.
  const dealt = (Math.ceil(blocks / PROCESSORS) * PROCESSORS) / blocks;
  const warps = (Math.min(resident, Math.ceil(blocks / PROCESSORS)) * work.threadsPerBlock) / 32;
  const hidden = warps / (warps + HALF_HIDDEN_WARPS);
  const throughput = (((most + UNHIDDEN * rest) / PROCESSORS) * dealt) / hidden;
  const rounds = Math.ceil(blocks / (PROCESSORS * resident));
  const latency = rounds * (work.criticalPath ?? 0) * CYCLES_PER_INSTRUCTION;
  const cycles = Math.max(throughput, latency);
  return {
    time: cycles + LAUNCH_CYCLES,
    occupancy: (resident * work.threadsPerBlock) / architecture.threadsPerSm,
    bound: cycles < LAUNCH_CYCLES ? "launch" : latency > throughput ? "latency" : busiest,
    registersPerThread: work.registersPerThread,
  };
}

/** The estimate of kernels that run one after the other: the sum of their times, and the longest one's bound. */
export function addEstimates(estimates: readonly CudaEstimate[]): CudaEstimate {
  const longest = estimates.reduce((a, b) => (b.time > a.time ? b : a));
  return { ...longest, time: estimates.reduce((sum, { time }) => sum + time, 0) };
}
