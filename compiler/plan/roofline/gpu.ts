import type { Target } from "../../../runtime/contract/index.ts";
import type { UnitRates } from "../rates.ts";

/**
 * Where a figure is from. `published`: the vendor states it. `derived`: computed from what the vendor states, as the source
 * says. `measured`: nobody but third parties gives it.
 */
export type FigureBasis = "published" | "derived" | "measured";

export interface Figure {
  readonly value: number;
  readonly basis: FigureBasis;
  /** Document and place, or the computation. */
  readonly source: string;
}

export function published(value: number, source: string): Figure {
  return { value, basis: "published", source };
}

export function derived(value: number, source: string): Figure {
  return { value, basis: "derived", source };
}

export function measured(value: number, source: string): Figure {
  return { value, basis: "measured", source };
}

/** What a GPU's kernels may be written in here, and what a plan may then use of it. */
export type GpuTarget =
  | { readonly target: "cuda" /** As in `CUDA_ARCHITECTURES`. */; readonly architecture: string }
  | {
      readonly target: "webgpu";
      /** Bytes of workgroup memory of the variant that a launcher picks on it (`WEBGPU_VARIANTS`). */
      readonly workgroupBytes: number;
      readonly features: readonly string[];
    };

/** Rates of one multiprocessor (SM, core, subslice) a cycle. */
export interface CycleRates {
  /** Dense multiply-adds of f16 that are accumulated in f32. */
  readonly matrixMultiplyAdds?: Figure;
  readonly f32MultiplyAdds: Figure;
  /** Exponentials of single lanes. */
  readonly specialFunctions: Figure;
  /** Instructions of 32 lanes. */
  readonly instructions?: Figure;
  /** Bytes between workgroup memory and registers. */
  readonly sharedBytes: Figure;
}

/** What is publicly known of one GPU. */
export interface Gpu {
  /** As `--gpu` takes it. */
  readonly name: string;
  readonly title: string;
  /** What its kernels may be written in, the fastest first. */
  readonly targets: readonly GpuTarget[];
  readonly multiprocessors: Figure;
  /** Highest sustained clock that the vendor names, in Hz. */
  readonly clock: Figure;
  /** The same while matrix units work, where it differs. */
  readonly matrixClock?: Figure;
  readonly perCycle: CycleRates;
  /** Operations a second, a multiply-add being two, where the vendor names such a peak. */
  readonly matrixOperations?: Figure;
  readonly f32Operations?: Figure;
  /** The share of the matrix peak that the instruction reaches which mtac emits (`mma.sync`), where it cannot reach all. */
  readonly matrixShare?: Figure;
  /** Bytes of the last cache before device memory. */
  readonly cacheBytes: Figure;
  /** Bytes that it delivers a second, where the vendor says. */
  readonly cacheBandwidth?: Figure;
  /** Bytes of device memory a second. */
  readonly memoryBandwidth: Figure;
}

/** What a GPU can do in a second at most. */
export interface Rates extends UnitRates {
  readonly f32: number;
  readonly specialFunctions: number;
  /** Multiply-adds of matrix units at their peak, with the fastest instruction there is. */
  readonly matrixPeak: number;
  readonly memoryBandwidth: number;
  /** Bytes, no rate: what the last cache holds. */
  readonly cacheBytes: number;
}

/** The rates of a GPU for kernels of one target. WGSL has no matrix units. */
export function ratesOf(gpu: Gpu, target: Target): Rates {
  const cycles = gpu.multiprocessors.value * gpu.clock.value;
  const matrixPeak = target === "cuda" ? matrixPeakOf(gpu) : 0;
  const { perCycle } = gpu;
  return {
    matrixPeak,
    matrix: matrixPeak * (gpu.matrixShare?.value ?? 1),
    f32:
      gpu.f32Operations === undefined ? cycles * perCycle.f32MultiplyAdds.value : gpu.f32Operations.value / 2,
    specialFunctions: cycles * perCycle.specialFunctions.value,
    // WGSL's instructions are fitted, not counted: they bound nothing.
    instructions:
      target === "webgpu" || perCycle.instructions === undefined
        ? null
        : cycles * perCycle.instructions.value,
    sharedBytes: cycles * perCycle.sharedBytes.value,
    cacheBandwidth: gpu.cacheBandwidth?.value ?? null,
    memoryBandwidth: gpu.memoryBandwidth.value,
    cacheBytes: gpu.cacheBytes.value,
  };
}

function matrixPeakOf({ matrixOperations, multiprocessors, matrixClock, clock, perCycle }: Gpu): number {
  if (matrixOperations !== undefined) return matrixOperations.value / 2;
  const rate = perCycle.matrixMultiplyAdds?.value ?? 0;
  return multiprocessors.value * (matrixClock ?? clock).value * rate;
}

/** All figures of a GPU by name, for listings and tests. */
export function figuresOf(gpu: Gpu): Readonly<Record<string, Figure>> {
  const { perCycle } = gpu;
  const all: Record<string, Figure | undefined> = {
    multiprocessors: gpu.multiprocessors,
    clock: gpu.clock,
    matrixClock: gpu.matrixClock,
    matrixMultiplyAddsPerCycle: perCycle.matrixMultiplyAdds,
    f32MultiplyAddsPerCycle: perCycle.f32MultiplyAdds,
    specialFunctionsPerCycle: perCycle.specialFunctions,
    instructionsPerCycle: perCycle.instructions,
    sharedBytesPerCycle: perCycle.sharedBytes,
    matrixOperations: gpu.matrixOperations,
    f32Operations: gpu.f32Operations,
    matrixShare: gpu.matrixShare,
    cacheBytes: gpu.cacheBytes,
    cacheBandwidth: gpu.cacheBandwidth,
    memoryBandwidth: gpu.memoryBandwidth,
  };
  const figures: Record<string, Figure> = {};
  for (const [name, figure] of Object.entries(all)) if (figure !== undefined) figures[name] = figure;
  return figures;
}
