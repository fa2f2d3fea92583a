import type {
  CallShape,
  ConvStage,
  Cost,
  Pipeline,
  TensorProgram,
  TensorTileProgram,
} from "../../../runtime/contract/index.ts";
import { floorMultiplyAdds } from "../../ir/index.ts";
import type { CudaArchitecture } from "../architectures.ts";
import { stageAt } from "../cost.ts";
import type { CudaBound, CudaEstimate } from "../cuda-cost.ts";
import { keyRange } from "../key-range.ts";
import { type KernelWork, MMA_MULTIPLY_ADDS, WAVEFRONT_BYTES } from "../work.ts";
import { inputChunks } from "./map-kernels.ts";
import { INNER_STEP, innerMargin } from "./support.ts";

/** Work of one kernel over a whole call, in units of one multiprocessor. */
interface Work {
  mma: number;
  instructions: number;
  shared: number;
  special: number;
  f32: number;
  bytes: number;
  /** Those of the bytes that are maps. */
  maps: number;
  blocks: number;
}

/** Keys that rows [first, last] see at most, without data-dependent masks. */
function keyCount(pipeline: Pipeline, shape: CallShape, first: number, last: number): number {
  const [low, high] = keyRange(pipeline, shape, first, last);
  return high - low;
}

/** Those of the keys that a kernel walks which the rows from `row` on see: see `TileKeys`. */
function walkedKeys(
  pipeline: Pipeline,
  shape: CallShape,
  { keys, conv, folded }: TensorTileProgram,
  row: number,
  seen: number,
): number {
  const index = folded ?? conv?.stage;
  if (keys === "all" || index === undefined) return seen;
  const clear = shape.Lk - shape.Lq + row + 1 - innerMargin(stageAt(pipeline, index) as ConvStage);
  const inner = Math.min(seen, Math.floor(Math.max(0, clear) / INNER_STEP) * INNER_STEP);
  return keys === "inner" ? inner : seen - inner;
}

/** Warp instructions that combining takes a row and part (counted at head size 96). */
const COMBINE_INSTRUCTIONS = 110;

function tileWork(pipeline: Pipeline, shape: CallShape, program: TensorTileProgram): Work {
  const { rowBlocks, warps, tileK, haloPast, haloFuture, conv } = program;
  const tileQ = warps * rowBlocks * 16;
  const halo = haloPast + haloFuture;
  const dot = program.source === "dot";
  const stage = conv === null ? null : (stageAt(pipeline, conv.stage) as ConvStage);
  const distances = conv === null ? 0 : conv.granulesLeft + conv.granulesRight + 1;
  const pairs = stage === null ? 0 : Math.ceil(stage.kernel.query / 2);
  // Folded keys are multiplied once a kernel row.
  const copies = program.folded === null ? 1 : (stageAt(pipeline, program.folded) as ConvStage).kernel.query;
  const headSteps = Math.ceil(pipeline.headDim / 16) * copies;
  const valueSteps = Math.ceil(pipeline.valueDim / 16);
  const heads = pipeline.heads * shape.B;
  const work: Work = { mma: 0, instructions: 0, shared: 0, special: 0, f32: 0, bytes: 0, maps: 0, blocks: 0 };
  for (let row = 0; row < shape.Lq; row += tileQ) {
    const seen = keyCount(pipeline, shape, row, Math.min(row + tileQ, shape.Lq) - 1);
    const keys = walkedKeys(pipeline, shape, program, row, seen);
    const steps = Math.ceil(keys / tileK) + (conv !== null && conv.granulesRight > 0 ? 8 / tileK : 0);
    // Per step: sixteen-row blocks by eight-key blocks.
    const blocks = (tileQ / 16) * (tileK / 8);
    const haloBlocks = program.folded === null ? halo / 8 : 0;
    const dotMma = dot ? blocks * headSteps + (haloBlocks * tileK * headSteps) / 16 : 0;
    const exact = conv?.precision === "exact";
    // The last row of an odd kernel takes products of half the depth.
    const convMma = ((blocks * (stage?.kernel.query ?? 0)) / 2) * distances * (exact ? 3 : 1);
    const valueMma = program.sink === "attention" || program.sink === "product" ? blocks * valueSteps : 0;
    // ldmatrix.x4: four wavefronts each.
    const haloLoads = dot ? haloBlocks * (tileK / 16) * headSteps * 6 : 0;
    const keyLoads = dot ? warps * (tileK / 16) * headSteps * 4 : 0;
    const queryLoads =
      dot && !program.queriesInRegisters ? warps * rowBlocks * headSteps * (tileK / program.columns) * 4 : 0;
    const convLoads = blocks * pairs * ((exact ? 8 : 4) + (conv?.taps === "shared" ? 2 * distances : 0));
    const valueLoads =
      program.sink === "attention" || program.sink === "product" ? warps * (tileK / 16) * valueSteps * 4 : 0;
    const copied = ((dot ? tileK * (pipeline.headDim * copies + pipeline.valueDim) : 0) * 2) / 128;
    const scoresStored = conv === null ? 0 : (tileQ * tileK * (exact ? 4 : 2)) / 128;
    const entries = tileQ * tileK;
    work.mma += steps * (dotMma + convMma + valueMma);
    work.shared +=
      steps * (haloLoads + keyLoads + queryLoads + convLoads + valueLoads + copied + scoresStored);
    const softmax = program.sink === "map" ? 0 : 1;
    work.special += steps * entries * (softmax + (program.source === "weights" ? 1 : 0));
    const perEntry = softmax * 3.5 + (conv === null ? 0.5 : 1.5) + (program.source === "weights" ? 3.5 : 0);
    work.f32 += steps * entries * softmax * 2.5;
    work.instructions +=
      steps *
      (dotMma +
        convMma +
        valueMma +
        (haloLoads + keyLoads + queryLoads + convLoads + valueLoads) / 4 +
        (entries * perEntry) / 32 +
        40 * warps);
    const maps = entries * 2 * ((dot ? 0 : 1) + (program.sink === "map" ? 1 : 0));
    work.maps += steps * maps;
    work.bytes += steps * ((dot ? tileK * (pipeline.headDim * copies + pipeline.valueDim) * 2 : 0) + maps);
    // Results of a part of the keys are written in f32 and read again.
    if (program.keys !== "all") {
      work.bytes += tileQ * pipeline.valueDim * 8;
      work.instructions += tileQ * COMBINE_INSTRUCTIONS;
    }
    work.blocks += 1;
  }
  for (const key of Object.keys(work) as (keyof Work)[]) work[key] *= heads;
  return work;
}

/** Multiprocessors of a device of the architecture that costs are predicted for: they scale all candidates alike. */
const PROCESSORS = 108;
/** Device cycles that a launch costs. */
const LAUNCH_CYCLES = 4000;
/** Bytes from the second-level cache per multiprocessor and cycle. */
const CACHE_BYTES = 32;

export function workOf(pipeline: Pipeline, shape: CallShape, program: TensorProgram): Work {
  if (program.kind === "tensor_tile") return tileWork(pipeline, shape, program);
  const heads = pipeline.heads * shape.B;
  let entries = 0;
  for (let row = 0; row < shape.Lq; row += 64)
    entries += 64 * Math.ceil(keyCount(pipeline, shape, row, Math.min(row + 64, shape.Lq) - 1) / 64) * 64;
  entries *= heads;
  switch (program.kind) {
    case "tensor_mix": {
      const softmax = (program.normalizes ? 2 : 0) + (program.source === "weights" ? 1 : 0);
      const stage = stageAt(pipeline, program.stage);
      const chunks = stage.kind === "mix" ? inputChunks(pipeline.heads, stage.group) : 1;
      return {
        mma: (entries * 16 * chunks) / MMA_MULTIPLY_ADDS,
        instructions: (entries * (3 + 4 * softmax)) / 32,
        shared: (entries * 8) / 128,
        special: entries * softmax,
        f32: entries * 2 * softmax,
        bytes: entries * 4,
        maps: entries * 4,
        blocks: shape.Lq * shape.B,
      };
    }
    case "tensor_fold": {
      const rows = (stageAt(pipeline, program.stage) as ConvStage).kernel.query;
      // Sixteen keys by eight elements a product, twice: taps are pairs.
      const mma = ((heads * shape.Lk * pipeline.headDim) / 128) * rows * program.sourceSteps * 2;
      return {
        mma,
        instructions: mma * 2.5,
        shared: mma * 2,
        special: 0,
        f32: 0,
        bytes: heads * shape.Lk * pipeline.headDim * 2 * (rows + 1),
        maps: 0,
        blocks: (shape.Lk / 64) * heads,
      };
    }
    case "tensor_combine":
      // Where keys are not shared, and that is the rule, it does not run at all.
      return { mma: 0, instructions: 0, shared: 0, special: 0, f32: 0, bytes: 0, maps: 0, blocks: 1 };
    case "tensor_statistics":
      return {
        mma: 0,
        instructions: (entries * 4) / 32,
        shared: 0,
        special: entries,
        f32: entries * 2,
        bytes: entries * 2,
        maps: entries * 2,
        blocks: (shape.Lq * heads) / 4,
      };
    case "tensor_product":
      return {
        mma: (entries * pipeline.valueDim) / 2048,
        instructions:
          (entries * (program.source === "weights" ? 5 : 1)) / 32 +
          (entries * pipeline.valueDim * 1.4) / 2048,
        // A tile's weights and values are written once; every warp reads all the values.
        shared: (entries * (2 + (5 * pipeline.valueDim) / (64 * program.rowBlocks))) / 64,
        special: program.source === "weights" ? entries : 0,
        f32: 0,
        bytes: entries * 2,
        maps: entries * 2,
        blocks: (shape.Lq / (64 * program.rowBlocks)) * heads,
      };
  }
}

/** The counts of one kernel for `Candidate.work`. */
export function tensorWork(
  pipeline: Pipeline,
  shape: CallShape,
  kernel: string,
  program: TensorProgram,
): KernelWork {
  const work = workOf(pipeline, shape, program);
  return {
    kernel,
    matrixMultiplyAdds: work.mma * MMA_MULTIPLY_ADDS,
    f32MultiplyAdds: work.f32,
    specialFunctions: work.special,
    instructions: work.instructions,
    sharedBytes: work.shared * WAVEFRONT_BYTES,
    cacheBytes: work.bytes,
    mapBytes: work.maps,
  };
}

const BOUNDS: readonly CudaBound[] = [
  "tensor cores",
  "instruction issue",
  "shared memory",
  "special functions",
  "f32 units",
  "global memory",
];

/** Cycles of one multiprocessor, by unit, in the order of BOUNDS. */
function unitCycles(work: Work, architecture: CudaArchitecture): readonly number[] {
  return [
    work.mma / architecture.mma,
    work.instructions / 4,
    work.shared,
    work.special / architecture.specialFunctions,
    work.f32 / architecture.f32Lanes,
    work.bytes / CACHE_BYTES,
  ];
}

/** What bounds the kernel that takes most of the time. */
export function tensorEstimate(
  pipeline: Pipeline,
  architecture: CudaArchitecture,
  shape: CallShape,
  programs: readonly TensorProgram[],
): CudaEstimate {
  let longest: CudaEstimate = { time: 0, occupancy: 1, bound: "launch", registersPerThread: 0 };
  for (const program of programs) {
    const cycles = unitCycles(workOf(pipeline, shape, program), architecture);
    const time = Math.max(...cycles);
    if (time <= longest.time) continue;
    const threads = program.warps * 32;
    const resident = "blocksPerSm" in program ? program.blocksPerSm : 2;
    longest = {
      time,
      occupancy: Math.min(1, (resident * threads) / architecture.threadsPerSm),
      bound: BOUNDS[cycles.indexOf(time)] ?? "launch",
      // As many as leave room for the resident blocks.
      registersPerThread: Math.min(255, Math.floor(architecture.registersPerSm / (resident * threads))),
    };
  }
  return longest;
}

/** Predicted cycles of the kernels, one after the other, on a whole device. */
export function tensorCost(
  pipeline: Pipeline,
  architecture: CudaArchitecture,
  shape: CallShape,
  programs: readonly TensorProgram[],
): Cost {
  const cost = {
    multiplyAdds: 0,
    floorMultiplyAdds: floorMultiplyAdds(pipeline, shape),
    bytes: 0,
    barriers: 0,
    time: 0,
  };
  for (const program of programs) {
    if (program.kind === "tensor_combine") continue;
    const work = workOf(pipeline, shape, program);
    const bounds = unitCycles(work, architecture);
    const most = Math.max(...bounds);
    const rest = bounds.reduce((sum, each) => sum + each, 0) - most;
    // Units overlap, but not wholly; fewer blocks than processors leave some idle.
    const used = Math.min(PROCESSORS, Math.max(1, work.blocks));
    cost.multiplyAdds += work.mma * MMA_MULTIPLY_ADDS;
    cost.bytes += work.bytes;
    cost.time += (most + 0.15 * rest) / used + LAUNCH_CYCLES;
  }
  return cost;
}
