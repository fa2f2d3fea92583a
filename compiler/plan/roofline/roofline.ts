import { workspaceBytes } from "../../../runtime/contract/expand.ts";
import type { CallShape, Pipeline } from "../../../runtime/contract/index.ts";
import { compulsoryBytes, floorMultiplyAdds, visiblePairs } from "../../ir/index.ts";
import type { Candidate } from "../candidate.ts";
import { type Resource, timeOf, type UnitTimes, unitTimes } from "../rates.ts";
import { tensorIllegal } from "../tensor/support.ts";
import type { CountedKernel } from "../work.ts";
import type { Rates } from "./gpu.ts";

/** A time that nothing undercuts at a GPU's peak rates, in seconds, and what takes it. */
export interface Bound {
  readonly seconds: number;
  readonly bound: Resource;
}

export interface KernelBound extends Bound {
  readonly kernel: string;
}

export interface Roofline extends Bound {
  /** The kernels, in the order in which they run. */
  readonly kernels: readonly KernelBound[];
  /** Bytes between device memory and its cache, at least. */
  readonly memoryBytes: number;
}

/** The spec's own work, whatever the schedule. */
export interface FloorWork {
  /** Multiply-adds that no lowering avoids. */
  readonly multiplyAdds: number;
  readonly specialFunctions: number;
  /** Bytes of tensors and parameters, each moved once. */
  readonly memoryBytes: number;
  /** Whether the storage type and the sizes let matrix units do the multiply-adds. */
  readonly matrix: boolean;
}

function longest(times: UnitTimes): Bound {
  const [bound, seconds] = times.reduce((a, b) => (b[1] > a[1] ? b : a));
  return { seconds, bound };
}

/**
 * The roofline of one kernel: the longest of the times that its resources take, each at its peak and all at once.
 *
 * @param spilledBytes bytes of maps that come from device memory, as the cache cannot hold them
 */
export function kernelBound(work: CountedKernel, spilledBytes: number, rates: Rates): KernelBound {
  const memory = timeOf(spilledBytes, rates.memoryBandwidth);
  return { kernel: work.kernel, ...longest([...unitTimes(work, rates), ["device memory", memory]]) };
}

/** What a candidate asks of device memory. */
export interface MemoryDemand {
  /** Bytes of tensors and parameters, each moved once. */
  readonly compulsoryBytes: number;
  /** Bytes of the workspace that kernels hand to each other. */
  readonly workspaceBytes: number;
}

/**
 * The roofline of kernels that run one after the other: the sum of theirs, or what device memory needs for all bytes of the
 * call where that is longer. Maps that fit the last cache stay there; of others at least the share that does not fit is moved.
 */
export function roofline(work: readonly CountedKernel[], demand: MemoryDemand, rates: Rates): Roofline {
  const spilled = Math.max(0, 1 - rates.cacheBytes / Math.max(1, demand.workspaceBytes));
  const kernels = work.map((each) => kernelBound(each, each.mapBytes * spilled, rates));
  const seconds = kernels.reduce((sum, each) => sum + each.seconds, 0);
  const memoryBytes =
    demand.compulsoryBytes + work.reduce((sum, { mapBytes }) => sum + mapBytes * spilled, 0);
  const memory = timeOf(memoryBytes, rates.memoryBandwidth);
  if (memory >= seconds) return { seconds: memory, bound: "device memory", kernels, memoryBytes };
  return { seconds, bound: mostOf(kernels), kernels, memoryBytes };
}

/** The resource that kernels wait for longest, all together. */
function mostOf(kernels: readonly KernelBound[]): Resource {
  const totals = new Map<Resource, number>();
  for (const { bound, seconds } of kernels) totals.set(bound, (totals.get(bound) ?? 0) + seconds);
  return longest([...totals]).bound;
}

/** What the spec asks for at a shape. A convolution that is cheaper when the keys are convolved beforehand counts as that. */
export function floorWork(pipeline: Pipeline, shape: CallShape): FloorWork {
  const pairs = visiblePairs(pipeline, shape);
  let saved = 0;
  for (const stage of pipeline.scores) {
    if (stage.kind !== "conv") continue;
    // Each kernel row beyond the first multiplies the queries with another copy of the keys (`folded`).
    const rows = stage.kernel.query * stage.across;
    saved += Math.max(0, rows * stage.kernel.key - (rows - 1) * pipeline.headDim);
  }
  return {
    multiplyAdds: floorMultiplyAdds(pipeline, shape) - pairs * saved,
    specialFunctions: pipeline.normalize === "softmax" ? pairs : 0,
    memoryBytes: compulsoryBytes(pipeline, shape),
    matrix: tensorIllegal(pipeline) === null,
  };
}

/** The "speed of light" of a spec on a GPU: its own work at the peak rates, all multiply-adds on the fastest units. */
export function floorBound(work: FloorWork, rates: Rates): Bound {
  const matrix = work.matrix && rates.matrixPeak > rates.f32;
  return longest([
    matrix
      ? ["tensor cores", timeOf(work.multiplyAdds, rates.matrixPeak)]
      : ["f32 units", timeOf(work.multiplyAdds, rates.f32)],
    ["special functions", timeOf(work.specialFunctions, rates.specialFunctions)],
    ["device memory", timeOf(work.memoryBytes, rates.memoryBandwidth)],
  ]);
}

/** A legal candidate with its roofline. */
export interface BoundCandidate {
  readonly candidate: Candidate;
  readonly roofline: Roofline;
}

/** Rooflines of the legal candidates, the fastest first; among equal ones in the planner's order. */
export function boundCandidates(
  candidates: readonly Candidate[],
  shape: CallShape,
  rates: Rates,
): readonly BoundCandidate[] {
  const bound = candidates.flatMap((candidate): BoundCandidate[] => {
    const { memory, work } = candidate;
    if (memory === null) return [];
    const demand = {
      compulsoryBytes: compulsoryBytes(memory.pipeline, shape),
      workspaceBytes: work.some(({ mapBytes }) => mapBytes > 0)
        ? workspaceBytes(memory, { ...shape, positions: false })
        : 0,
    };
    return [{ candidate, roofline: roofline(work, demand, rates) }];
  });
  return bound.sort((a, b) => a.roofline.seconds - b.roofline.seconds);
}
