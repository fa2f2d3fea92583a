import type { CudaArchitecture } from "./architectures.ts";
import { MMA_MULTIPLY_ADDS, WAVEFRONT_BYTES, type WorkCounts } from "./work.ts";

/** What a kernel can wait for. */
export type Resource =
  | "tensor cores"
  | "f32 units"
  | "special functions"
  | "instruction issue"
  | "shared memory"
  | "second-level cache"
  | "device memory";

/**
 * What each unit of a processor does in a unit of time: of a whole GPU a second (`ratesOf`), of one multiprocessor a cycle
 * (`MachineRates`). Null bounds nothing: nobody says, or nobody waits for it.
 */
export interface UnitRates {
  /** Multiply-adds of matrix units with the instruction that mtac emits; 0 where the target's language has none. */
  readonly matrix: number;
  readonly f32: number | null;
  readonly specialFunctions: number | null;
  /** By warps of 32 lanes. */
  readonly instructions: number | null;
  readonly sharedBytes: number | null;
  /** Bytes from the cache that all multiprocessors share. */
  readonly cacheBandwidth: number | null;
}

export type UnitTimes = readonly (readonly [resource: Resource, time: number])[];

/** Time of work at a rate; no work takes none, and a rate that nobody states bounds nothing. */
export function timeOf(work: number, rate: number | null): number {
  return rate === null || work === 0 ? 0 : work / rate;
}

/** The time that each unit takes for its share of the work. */
export function unitTimes(work: WorkCounts, rates: UnitRates): UnitTimes {
  return [
    ["tensor cores", timeOf(work.matrixMultiplyAdds, rates.matrix)],
    ["f32 units", timeOf(work.f32MultiplyAdds, rates.f32)],
    ["special functions", timeOf(work.specialFunctions, rates.specialFunctions)],
    ["instruction issue", timeOf(work.instructions, rates.instructions)],
    ["shared memory", timeOf(work.sharedBytes, rates.sharedBytes)],
    ["second-level cache", timeOf(work.cacheBytes, rates.cacheBandwidth)],
  ];
}

/** What a multiprocessor holds: it bounds how many blocks are resident. */
export interface Residency {
  readonly threads: number;
  readonly blocks: number;
  /** Bytes, and those that each resident block takes beside its own. */
  readonly sharedBytes: number;
  readonly reservedSharedBytes: number;
  /** Registers, and the unit in which a warp gets them. */
  readonly registers: number;
  readonly registerUnit: number;
}

/** What the planner predicts times with: rates of one multiprocessor (SM) and cycle, and how work fills them. */
export interface MachineRates extends UnitRates {
  /** Multiprocessors of the device that costs are predicted for: they scale all candidates alike. */
  readonly processors: number;
  /** Cycles that a launch costs. */
  readonly launch: number;
  /** Units overlap, but not wholly: the share of the others' time that is not hidden behind the busiest one. */
  readonly unhidden: number;
  /** Warps of a multiprocessor with which half of the latencies of loads are hidden. */
  readonly halfHiddenWarps: number;
  /** Cycles from one instruction of a warp to the next, where nothing else is known. */
  readonly cyclesPerInstruction: number;
  /** Whether warps without work take as long as those that they wait for: processors that run a block's warps in turn. */
  readonly lockstep: boolean;
  /** Null where nobody knows: one block at a time. */
  readonly residency: Residency | null;
}

const CUDA = {
  sharedBytes: WAVEFRONT_BYTES,
  instructions: 4,
  cacheBandwidth: 32,
  processors: 108,
  launch: 4000,
  unhidden: 0.15,
  halfHiddenWarps: 3,
  cyclesPerInstruction: 1,
  lockstep: false,
} as const;

export function cudaRates(architecture: CudaArchitecture): MachineRates {
  return {
    ...CUDA,
    matrix: architecture.mma * MMA_MULTIPLY_ADDS,
    f32: architecture.f32Lanes,
    specialFunctions: architecture.specialFunctions,
    residency: {
      threads: architecture.threadsPerSm,
      blocks: architecture.blocksPerSm,
      sharedBytes: architecture.sharedBytesPerSm,
      reservedSharedBytes: 1024,
      registers: architecture.registersPerSm,
      registerUnit: 256,
    },
  };
}

/**
 * Nobody knows a WebGPU device's processors: one of a single lane stands for them, whose instructions are the unit of time. What
 * kernels execute was fitted to the benchmark on an emulated device (`scalar-units.ts`); the tuner measures where it matters.
 */
export const WEBGPU_RATES: MachineRates = {
  matrix: 0,
  f32: null,
  specialFunctions: null,
  instructions: 1 / 32,
  sharedBytes: null,
  cacheBandwidth: null,
  processors: 1,
  launch: 40000,
  unhidden: 1,
  halfHiddenWarps: 0,
  cyclesPerInstruction: 0,
  lockstep: true,
  residency: null,
};

/**
 * A core that starts two operations on vectors a cycle; measured kernels reach two thirds of that, exponentials take a dozen operations each. What
 * a core loads from the cache behind its own: some ten bytes a cycle.
 */
export function cpuRates({
  lanes,
  threads,
}: {
  readonly lanes: number;
  readonly threads: number;
}): MachineRates {
  return {
    matrix: 0,
    f32: (2 * lanes * 2) / 3,
    specialFunctions: lanes / 8,
    instructions: null,
    sharedBytes: null,
    cacheBandwidth: 10,
    processors: threads,
    launch: 50000,
    unhidden: 1,
    halfHiddenWarps: 0,
    cyclesPerInstruction: 0,
    lockstep: false,
    residency: null,
  };
}
