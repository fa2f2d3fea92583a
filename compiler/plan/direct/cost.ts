import {
  BYTES_PER_ELEMENT,
  type CallShape,
  type Cost,
  type FusedProgram,
  type KernelProgram,
  type Pipeline,
  type Reach,
} from "../../../runtime/contract/index.ts";
import { floorMultiplyAdds } from "../../ir/index.ts";
import type { CudaArchitecture } from "../architectures.ts";
import { stageAt } from "../cost.ts";
import { type CudaEstimate, type CudaWork, estimate } from "../cuda-cost.ts";
import { keyRange } from "../key-range.ts";
import { valueBlocks } from "../layout.ts";
import { rememberByPipeline } from "../remember.ts";
import { countsOf, type WorkCounts } from "../work.ts";
import { mapEntries, type StripShape } from "./map-entries.ts";

/** What the kernels execute beside multiply-adds, in instructions of a thread. */
const INSTRUCTIONS = {
  /** Placing, masking and writing one 4x4 block. */
  block: 130,
  /** One entry of the softmax; its expf. */
  softmax: 14,
  exp: 8,
  /** A step's loops and barriers. */
  step: 60,
  /** Four words of a map, read or written. */
  map: 6,
} as const;

/** Wavefronts of a warp's 16-byte loads: of neighbouring places, of few rows each, of one place. */
const WAVEFRONTS = { contiguous: 4, rows: 6, broadcast: 1 } as const;

/** Work of one block, and what it does in all. */
type BlockWork = Omit<
  CudaWork,
  "mma" | "blocks" | "threadsPerBlock" | "sharedBytesPerBlock" | "registersPerThread"
>;

const NO_WORK: BlockWork = {
  f32LaneOps: 0,
  specialFunctions: 0,
  warpInstructions: 0,
  sharedWavefronts: 0,
  globalBytes: 0,
};

function add(a: BlockWork, b: Partial<BlockWork>, times = 1): BlockWork {
  return {
    f32LaneOps: a.f32LaneOps + times * (b.f32LaneOps ?? 0),
    specialFunctions: a.specialFunctions + times * (b.specialFunctions ?? 0),
    warpInstructions: a.warpInstructions + times * (b.warpInstructions ?? 0),
    sharedWavefronts: a.sharedWavefronts + times * (b.sharedWavefronts ?? 0),
    globalBytes: a.globalBytes + times * (b.globalBytes ?? 0),
  };
}

/** Work of a warp whose threads compute one 4x4 block of scores each. */
function dotUnits(pipeline: Pipeline): BlockWork {
  const fours = Math.ceil(pipeline.headDim / 4);
  const loads = 8 * fours;
  return {
    ...NO_WORK,
    f32LaneOps: 32 * 64 * fours,
    warpInstructions: 64 * fours + loads + INSTRUCTIONS.block,
    sharedWavefronts: loads * WAVEFRONTS.rows + 16,
  };
}

/** The same for a convolution of `taps` taps along the keys and `rows` rows, over `across` heads. */
function convUnits(kernel: { query: number; key: number }, across: number, sliding: boolean): BlockWork {
  const windows = Math.ceil((kernel.key + 5) / 4);
  const loads = kernel.query * (sliding ? 4 * windows : 16 * kernel.key) * across;
  const weights = kernel.query * kernel.key * across;
  return {
    ...NO_WORK,
    f32LaneOps: 32 * 16 * weights,
    warpInstructions: 17 * weights + loads + INSTRUCTIONS.block,
    sharedWavefronts: loads * (sliding ? WAVEFRONTS.contiguous : 2) + weights + 16,
  };
}

/** The same for a mix of a group of heads at four keys of one row. */
function mixUnits(group: number, outputs: number): BlockWork {
  return {
    ...NO_WORK,
    f32LaneOps: 32 * 4 * group * outputs,
    warpInstructions: 5 * group * outputs + 8 * group + 8 * 4 * outputs,
    sharedWavefronts: (group + outputs) * WAVEFRONTS.contiguous + group * outputs,
  };
}

/** Four rows by four values a thread, over four keys. */
function productUnits(sameValues: number): BlockWork {
  return {
    ...NO_WORK,
    f32LaneOps: 32 * 64,
    warpInstructions: 64 + 4 + 4 / sameValues + 6,
    sharedWavefronts: 4 * 2 * WAVEFRONTS.broadcast + (4 / sameValues) * WAVEFRONTS.contiguous,
  };
}

/** One step along the keys of one block of a fused kernel, and the instructions of its slowest warp. */
function fusedStep(
  pipeline: Pipeline,
  program: FusedProgram,
  threads: number,
): { readonly work: BlockWork; readonly criticalPath: number } {
  const { headBlock, tileQ, tileK } = program;
  const warps = threads / 32;
  let work: BlockWork = { ...NO_WORK, warpInstructions: INSTRUCTIONS.step * warps };
  let criticalPath: number = INSTRUCTIONS.step;
  const addUnits = (unit: BlockWork, units: number): void => {
    work = add(work, unit, Math.ceil(units / 32));
    criticalPath += Math.ceil(units / threads) * unit.warpInstructions;
  };
  for (const step of program.chain) {
    if (step.kind === "mix") {
      const region = program.regions[step.in];
      const stage = stageAt(pipeline, step.stage);
      const group = stage.kind === "mix" ? stage.group : 1;
      addUnits(mixUnits(group, group), ((headBlock / group) * (region?.rows ?? 0) * tileK) / 4);
    } else {
      const region = program.regions[step.to];
      const units = (headBlock * (region?.rows ?? 0) * tileK) / 16;
      if (step.kind === "dot") {
        addUnits(dotUnits(pipeline), units);
      } else {
        const stage = stageAt(pipeline, step.stage);
        if (stage.kind === "conv")
          addUnits(convUnits(stage.kernel, stage.across, stage.dilation.key === 1), units);
      }
    }
    if (step.finish.mask === "normalize") {
      const entries = headBlock * tileQ * tileK;
      work = add(work, {
        specialFunctions: entries,
        warpInstructions: (entries * INSTRUCTIONS.exp) / 32,
        f32LaneOps: entries * INSTRUCTIONS.exp,
      });
    }
  }
  const entries = headBlock * tileQ * tileK;
  if (program.role !== "apply") {
    work = add(work, {
      specialFunctions: entries,
      warpInstructions: (entries * INSTRUCTIONS.softmax) / 32,
      f32LaneOps: entries * INSTRUCTIONS.softmax,
      sharedWavefronts: entries / 16,
    });
    criticalPath += (tileK / program.team) * INSTRUCTIONS.softmax;
  }
  if (program.role !== "statistics") {
    const same = headBlock === 1 && threads % valueBlocks(pipeline) === 0 ? program.outputBlocks : 1;
    const unit = productUnits(same);
    const units = ((headBlock * tileQ) / 4) * valueBlocks(pipeline);
    work = add(work, unit, (Math.ceil(units / 32) * tileK) / 4);
    criticalPath += (program.outputBlocks * unit.warpInstructions * tileK) / 4;
  }
  const dims =
    (program.role === "statistics" ? 0 : pipeline.valueDim) + pipeline.headDim * (1 + tileQ / tileK);
  const globalBytes = headBlock * tileK * dims * BYTES_PER_ELEMENT[pipeline.storage];
  return { work: add(work, { globalBytes }), criticalPath };
}

const rememberedFloor = rememberByPipeline<number>();

/** The floor of the work: every candidate reports it. */
function floorOf(pipeline: Pipeline, shape: CallShape): number {
  return rememberedFloor(pipeline, JSON.stringify(shape), () => floorMultiplyAdds(pipeline, shape));
}

export interface Predicted {
  readonly cost: Cost;
  readonly estimate: CudaEstimate;
  readonly counts: WorkCounts;
}

function predict(
  pipeline: Pipeline,
  shape: CallShape,
  work: CudaWork,
  barriers: number,
  architecture: CudaArchitecture,
  launches = 1,
  mapBytes = 0,
): Predicted {
  const predicted = estimate(work, architecture);
  const time = predicted.time * launches;
  return {
    cost: {
      multiplyAdds: work.f32LaneOps * launches,
      floorMultiplyAdds: floorOf(pipeline, shape),
      bytes: work.globalBytes * launches,
      barriers: barriers * launches,
      time,
    },
    estimate: { ...predicted, time },
    counts: countsOf(work, launches, mapBytes),
  };
}

/** Cost of a fused kernel over the whole call. */
export function directFusedCost(
  pipeline: Pipeline,
  kernel: {
    readonly program: FusedProgram;
    readonly threads: number;
    readonly sharedBytes: number;
    readonly registers: number;
  },
  shape: CallShape,
  architecture: CudaArchitecture,
): Predicted {
  const { program, threads, sharedBytes, registers } = kernel;
  const { tileQ, tileK } = program;
  const lag = program.regions[program.final]?.lag ?? 0;
  const left = program.regions.reduce((sum, region) => sum + region.carry, 0) - lag;
  const step = fusedStep(pipeline, program, threads);
  let steps = 0;
  const most = 0;
  for (let row = 0; row < shape.Lq; row += tileQ) {
    const [low, high] = keyRange(pipeline, shape, row, Math.min(row + tileQ, shape.Lq) - 1);
    if (high > low) steps += Math.ceil((high + lag) / tileK) - Math.floor(Math.max(0, low - left) / tileK);
  }
  const groups = (pipeline.heads / program.headBlock) * shape.B;
  const work: CudaWork = {
    mma: 0,
    ...add(NO_WORK, step.work, steps * groups),
    // The longest block's, as if all were that long where several rounds follow each other: half of it on average.
    criticalPath: (step.criticalPath * (most + steps / Math.max(1, Math.ceil(shape.Lq / tileQ)))) / 2,
    blocks: Math.ceil(shape.Lq / tileQ) * groups,
    threadsPerBlock: threads,
    sharedBytesPerBlock: sharedBytes,
    registersPerThread: registers,
  };
  return predict(pipeline, shape, work, steps * groups * (program.chain.length + 3), architecture);
}

/** What one staged kernel takes of an SM. */
export interface MapKernel {
  readonly program: KernelProgram;
  readonly threads: number;
  readonly sharedBytes: number;
  readonly registers: number;
  readonly halo: Reach;
}

/** Cost of one kernel of the staged schedule over the whole call. */
export function directStagedCost(
  pipeline: Pipeline,
  kernel: MapKernel,
  shape: CallShape,
  strips: StripShape,
  architecture: CudaArchitecture,
): Predicted {
  const { program, threads } = kernel;
  // Work of 32 threads that compute `unit` entries together, words of a map a block entry, and blocks an entry.
  let unit: BlockWork = NO_WORK;
  let perUnit = 32 * 16;
  let words = 2;
  let tile = { rows: 4, keys: 4 };
  let perBlock = threads * 16;
  switch (program.kind) {
    case "scores":
      unit = dotUnits(pipeline);
      words = 1;
      tile = { rows: program.tileQ, keys: program.tileK };
      break;
    case "conv": {
      const stage = stageAt(pipeline, program.stage);
      if (stage.kind !== "conv") break;
      const sliding = stage.dilation.key === 1 && program.source === "workgroup";
      unit = convUnits(stage.kernel, stage.across, sliding);
      const halo = (program.haloRows * program.rowStride) / (program.tileQ * program.tileK);
      words = 1 + (program.source === "workgroup" ? halo * stage.across : 4);
      tile = { rows: program.tileQ, keys: program.tileK };
      break;
    }
    case "mix": {
      const stage = stageAt(pipeline, program.stage);
      const group = stage.kind === "mix" ? stage.group : 1;
      unit = mixUnits(group, program.outputs);
      perUnit = 32 * 4 * program.outputs;
      perBlock = threads * 4 * program.outputs;
      words = 1 + group / program.outputs;
      tile = { rows: 1, keys: 64 };
      break;
    }
    case "normalize":
      unit = { ...NO_WORK, specialFunctions: 1, warpInstructions: 3, f32LaneOps: 20 };
      perUnit = 1;
      unit = add(NO_WORK, unit, 1);
      perBlock = (threads / program.team) * shape.Lk;
      words = 5;
      tile = { rows: 1, keys: 4 };
      break;
    case "product": {
      const blocks = valueBlocks(pipeline);
      // Four rows by four keys of a map feed a row of blocks of values.
      const idle = (program.outputBlocks * threads) / ((program.tileQ / 4) * blocks);
      unit = add(NO_WORK, productUnits(1), (blocks * idle) / 32);
      perUnit = 16;
      perBlock = program.tileQ * shape.Lk;
      words = 1;
      tile = { rows: program.tileQ, keys: 4 };
      break;
    }
    default:
      break;
  }
  const entries = mapEntries(pipeline, shape, strips, kernel.halo, tile);
  const launches = entries.strips;
  const units = entries.live / perUnit / launches;
  const movedWords = (entries.written * words) / launches;
  const work: CudaWork = {
    mma: 0,
    ...add(add(NO_WORK, unit, units), {
      globalBytes: movedWords * 4,
      warpInstructions: (movedWords / 4 / 32) * INSTRUCTIONS.map,
      sharedWavefronts: movedWords / 32,
    }),
    blocks: Math.max(1, entries.live / perBlock / launches),
    threadsPerBlock: threads,
    sharedBytesPerBlock: kernel.sharedBytes,
    registersPerThread: kernel.registers,
  };
  return predict(pipeline, shape, work, 0, architecture, launches, entries.written * words * 4);
}
