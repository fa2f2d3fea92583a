import { type MachineRates, type Residency, type Resource, unitTimes } from "./rates.ts";
import { type BlockDemand, type KernelWork, timesCounts, WARP } from "./work.ts";

export interface Estimate {
  /** Cycles of a whole device. */
  readonly time: number;
  /** Resident warps over those that a multiprocessor can hold; null where nobody knows how many. */
  readonly occupancy: number | null;
  /** What the kernel waits for most. */
  readonly bound: Resource | "latency" | "launch";
  readonly registersPerThread: number;
}

/** What bounds how many blocks are resident. */
export type ResidentBlock = Pick<BlockDemand, "threads" | "sharedBytes" | "registers">;

/** Blocks of a kernel that one multiprocessor holds at a time. */
export function residentBlocks(block: ResidentBlock, residency: Residency | null): number {
  if (residency === null) return 1;
  const warps = Math.ceil(block.threads / WARP);
  const unit = residency.registerUnit;
  const registers = warps * Math.ceil((block.registers * WARP) / unit) * unit;
  return Math.max(
    1,
    Math.min(
      residency.blocks,
      Math.floor(residency.threads / (warps * WARP)),
      Math.floor(residency.sharedBytes / (block.sharedBytes + residency.reservedSharedBytes)),
      Math.floor(residency.registers / registers),
    ),
  );
}

/** Predicted time of one kernel over a whole call: the busiest unit, what it does not hide, idle processors, launches. */
export function estimate(work: KernelWork, rates: MachineRates): Estimate {
  const { processors, residency, launch } = rates;
  const { block, launches } = work;
  const blocks = Math.max(1, work.blocks / launches);
  const warps = Math.ceil(block.threads / WARP);
  const counts = timesCounts(work, 1 / launches);
  const inStep = rates.lockstep ? blocks * warps * block.criticalPath : 0;
  const units = unitTimes({ ...counts, instructions: Math.max(counts.instructions, inStep) }, rates);
  const [busiest, most] = units.reduce((a, b) => (b[1] > a[1] ? b : a));
  const rest = units.reduce((sum, [, time]) => sum + time, 0) - most;
  const resident = residentBlocks(block, residency);
  const residentWarps = Math.min(resident, Math.ceil(blocks / processors)) * warps;
  const hidden = block.copiesAhead ? 1 : residentWarps / (residentWarps + rates.halfHiddenWarps);
  // Blocks of the busiest processor. Where they wait for loads, one takes as long as several: the last round counts whole.
  const dealt = block.copiesAhead ? Math.max(1, blocks / processors) : Math.ceil(blocks / processors);
  const throughput = ((most + rates.unhidden * rest) * dealt) / blocks / hidden;
  const rounds = Math.ceil(blocks / (processors * resident));
  const latency = rounds * block.criticalPath * rates.cyclesPerInstruction;
  const cycles = Math.max(throughput, latency);
  return {
    time: (cycles + launch) * launches,
    occupancy: residency === null ? null : (resident * block.threads) / residency.threads,
    bound: cycles < launch ? "launch" : latency > throughput ? "latency" : busiest,
    registersPerThread: block.registers,
  };
}

/** The estimate of kernels that run one after the other: the sum of their times, and the longest one's bound. */
export function addEstimates(estimates: readonly Estimate[]): Estimate {
  const longest = estimates.reduce((a, b) => (b.time > a.time ? b : a));
  return { ...longest, time: estimates.reduce((sum, { time }) => sum + time, 0) };
}
