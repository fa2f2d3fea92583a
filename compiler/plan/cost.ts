import {
  BYTES_PER_ELEMENT,
  type CallShape,
  type ConvStage,
  type Cost,
  convReach,
  type FusedProgram,
  isPointwise,
  type MixStage,
  type Pipeline,
  type StageIndex,
  type StorageType,
} from "../../runtime/contract/index.ts";
import { floorMultiplyAdds } from "../ir/index.ts";
import { BLOCK_BYTES, convBlockBytes, FOUR_BYTES, softmaxBytes, weightBytes } from "./arena.ts";
import { keyRange } from "./key-range.ts";
import { valueBlocks } from "./layout.ts";
import { rememberByPipeline } from "./remember.ts";
import type { StripKernel, StripLimits } from "./schedule/strips.ts";
import { NO_COUNTS, type WorkCounts } from "./work.ts";

/**
 * Relative costs of one invocation, in multiply-adds of the score product. They order candidates; the ratios were fitted to
 * the benchmark program on an emulated device, and the tuner measures where it matters.
 */
const COST = {
  /** Reading, masking and writing one 4x4 block. */
  block: 90,
  /** A multiply-add of a convolution: its operands come from workgroup memory. */
  conv: 1.5,
  mix: 1.3,
  /** Four entries of one head on their way through a mix in workgroup memory. */
  mixed: 200,
  product: 1.4,
  /** One entry of the softmax. */
  exp: 14,
  /** A barrier, per invocation. */
  barrier: 40,
  /** A word of a map read or written. */
  word: 3,
  /** All of a staged kernel: its operands come through storage buffers instead of workgroup memory and registers. */
  staged: 1.5,
  /** A dispatch. */
  dispatch: 40000,
} as const;

const rememberedFloor = rememberByPipeline<number>();

/** The floor of the work: every candidate reports it. */
function floorOf(pipeline: Pipeline, shape: CallShape): number {
  return rememberedFloor(pipeline, JSON.stringify(shape), () => floorMultiplyAdds(pipeline, shape));
}

/** What a kernel is predicted to cost, and the counts of its work. */
export interface CountedCost {
  readonly cost: Cost;
  readonly counts: WorkCounts;
}

export interface FusedGeometry {
  readonly program: FusedProgram;
  readonly workgroup: number;
}

export function stageAt(pipeline: Pipeline, index: StageIndex): ConvStage | MixStage {
  const stage = pipeline[index.section][index.index];
  if (stage === undefined || isPointwise(stage)) throw new RangeError("the plan names a stage that is none");
  return stage;
}

/**
 * Work of one step along the keys of one workgroup: multiply-adds and exponentials done, bytes of workgroup memory, time of its
 * slowest invocation, barriers.
 */
function stepWork(
  pipeline: Pipeline,
  geometry: FusedGeometry,
): { work: number; exponentials: number; shared: number; time: number; barriers: number } {
  const { program, workgroup } = geometry;
  const heads = program.headBlock;
  let work = 0;
  let exponentials = 0;
  let shared = 0;
  let time = 0;
  let barriers = 1;
  const rounds = (units: number): number => Math.ceil(units / workgroup);
  for (const step of program.chain) {
    barriers += 1;
    if (step.kind === "dot" || step.kind === "conv") {
      const region = program.regions[step.to];
      const units = heads * ((region?.rows ?? 0) / 4) * (program.tileK / 4);
      shared += units * BLOCK_BYTES;
      if (step.kind === "dot") {
        work += units * 16 * pipeline.headDim;
        time += rounds(units) * (16 * pipeline.headDim + COST.block);
      } else {
        const stage = stageAt(pipeline, step.stage);
        const taps = stage.kind === "conv" ? stage.kernel.query * stage.kernel.key * stage.across : 0;
        work += units * 16 * taps;
        shared += stage.kind === "conv" ? units * convBlockBytes(stage) : 0;
        time += rounds(units) * (16 * taps * COST.conv + COST.block);
      }
    } else {
      const region = program.regions[step.in];
      const stage = stageAt(pipeline, step.stage);
      const group = stage.kind === "mix" ? stage.group : 1;
      const units = (heads / group) * (region?.rows ?? 0) * (program.tileK / 4);
      work += units * 4 * group * group;
      shared += units * 2 * group * FOUR_BYTES;
      time += rounds(units) * (4 * group * group * COST.mix + group * COST.mixed);
    }
    if (step.finish.mask === "normalize") {
      exponentials += heads * program.tileQ * program.tileK;
      time += rounds(heads * program.tileQ * program.tileK) * COST.exp;
    }
  }
  if (program.role !== "apply") {
    exponentials += heads * program.tileQ * program.tileK;
    shared += heads * program.tileQ * program.tileK * softmaxBytes(program.role === "single_pass");
    time += (program.tileK / program.team) * COST.exp;
    barriers += 2;
  }
  if (program.role !== "statistics") {
    work += heads * program.tileQ * program.tileK * valueBlocks(pipeline) * 4;
    shared += heads * (program.tileQ / 4) * program.tileK * weightBytes(valueBlocks(pipeline));
    time += program.outputBlocks * program.tileK * (16 * COST.product + 8);
  }
  return { work, exponentials, shared, time: time + barriers * COST.barrier, barriers };
}

export function fusedCost(pipeline: Pipeline, geometry: FusedGeometry, shape: CallShape): CountedCost {
  const { program, workgroup } = geometry;
  const lag = program.regions[program.final]?.lag ?? 0;
  const left = program.regions.reduce((sum, region) => sum + region.carry, 0) - lag;
  const step = stepWork(pipeline, geometry);
  const tiles = Math.ceil(shape.Lq / program.tileQ);
  let steps = 0;
  for (let tile = 0; tile < tiles; tile += 1) {
    const row = tile * program.tileQ;
    const [low, high] = keyRange(pipeline, shape, row, Math.min(row + program.tileQ, shape.Lq) - 1);
    if (high <= low) continue;
    steps += Math.ceil((high + lag) / program.tileK) - Math.floor(Math.max(0, low - left) / program.tileK);
  }
  const workgroups = (pipeline.heads / program.headBlock) * shape.B;
  const rows = workgroups * steps * program.headBlock * program.tileK;
  const multiplyAdds = workgroups * steps * step.work;
  // Only passes that multiply with v read it.
  const read = pipeline.headDim + (program.role === "statistics" ? 0 : pipeline.valueDim);
  return {
    cost: {
      multiplyAdds,
      floorMultiplyAdds: floorOf(pipeline, shape),
      bytes: rows * (pipeline.headDim + pipeline.valueDim) * bytesOf(pipeline.storage),
      barriers: workgroups * steps * step.barriers,
      time: workgroups * steps * step.time * workgroup + COST.dispatch,
    },
    counts: {
      ...NO_COUNTS,
      f32MultiplyAdds: multiplyAdds,
      specialFunctions: workgroups * steps * step.exponentials,
      sharedBytes: workgroups * steps * step.shared,
      cacheBytes: rows * read * bytesOf(pipeline.storage),
    },
  };
}

function bytesOf(storage: StorageType): number {
  return BYTES_PER_ELEMENT[storage];
}

/** Entries of the maps that a kernel computes, over all strips, halo included. */
function countEntries(
  pipeline: Pipeline,
  kernel: StripKernel,
  shape: CallShape,
  knobs: StripLimits,
  tile: { rows: number; keys: number },
): MapEntries {
  const haloRows = kernel.halo.past + kernel.halo.future;
  const mapRow = Math.ceil(shape.Lk / 64) * 64 * pipeline.heads * 8;
  const most = Math.max(16, Math.min(shape.Lq, knobs.stripRows, Math.floor(knobs.stripBytes / mapRow)));
  const strips = Math.ceil(shape.Lq / most);
  const strip = Math.ceil(shape.Lq / strips);
  let live = 0;
  let written = 0;
  for (let row = 0; row < shape.Lq; row += strip) {
    const end = Math.min(row + strip, shape.Lq);
    const [, stripHigh] = keyRange(pipeline, shape, row, end - 1);
    for (let tileRow = Math.max(0, row - haloRows); tileRow < end; tileRow += tile.rows) {
      const [low, high] = keyRange(pipeline, shape, tileRow, Math.min(tileRow + tile.rows, end) - 1);
      live += tile.rows * Math.ceil((high - low) / tile.keys) * tile.keys;
      written += tile.rows * stripHigh;
    }
  }
  const scale = pipeline.heads * shape.B;
  return { live: live * scale, written: written * scale, strips: strips * shape.B };
}

interface MapEntries {
  readonly live: number;
  readonly written: number;
  readonly strips: number;
}

const rememberedEntries = rememberByPipeline<MapEntries>();

/** `countEntries`, remembered: candidates differ in few of the numbers that it depends on. */
function mapEntries(
  pipeline: Pipeline,
  kernel: StripKernel,
  shape: CallShape,
  knobs: StripLimits,
  tile: { rows: number; keys: number },
): MapEntries {
  const halo = kernel.halo.past + kernel.halo.future;
  const key = [
    shape.B,
    shape.Lq,
    shape.Lk,
    halo,
    knobs.stripRows,
    knobs.stripBytes,
    tile.rows,
    tile.keys,
  ].join();
  return rememberedEntries(pipeline, key, () => countEntries(pipeline, kernel, shape, knobs, tile));
}

/** Cost of one kernel of the staged schedule over the whole call. */
export function stagedCost(
  pipeline: Pipeline,
  kernel: StripKernel,
  shape: CallShape,
  knobs: StripLimits,
): CountedCost {
  const { program } = kernel;
  let tile = { rows: 1, keys: 4 };
  let perEntry = 0;
  let timePerEntry: number = COST.block / 16;
  let words = 2;
  let shared = 0;
  switch (program.kind) {
    case "scores":
      perEntry = pipeline.headDim;
      timePerEntry += perEntry;
      words = 1;
      tile = { rows: program.tileQ, keys: program.tileK };
      break;
    case "conv": {
      const stage = stageAt(pipeline, program.stage);
      if (stage.kind !== "conv") break;
      const reach = convReach(stage);
      perEntry = stage.kernel.query * stage.kernel.key * stage.across;
      const halo =
        (program.haloRows * (program.tileK + reach.left + reach.right)) / (program.tileQ * program.tileK);
      tile = { rows: program.tileQ, keys: program.tileK };
      // The tile is written to workgroup memory with its halo, once for each head that is read.
      if (program.source === "workgroup") shared = convBlockBytes(stage) / 16 + 4 * halo * stage.across;
      timePerEntry +=
        perEntry * COST.conv * (program.source === "storage" ? 4 : 1) + COST.word * halo * stage.across;
      break;
    }
    case "mix": {
      const stage = stageAt(pipeline, program.stage);
      perEntry = stage.kind === "mix" ? stage.group : 1;
      timePerEntry += perEntry * (COST.mix + COST.word / program.outputs);
      tile = { rows: 1, keys: program.tileK };
      break;
    }
    case "normalize":
      timePerEntry += 3 * COST.exp;
      words = 4;
      break;
    case "product":
      perEntry = valueBlocks(pipeline) * 4;
      // Invocations without a block of the tile wait for the others.
      timePerEntry +=
        (perEntry * (program.outputBlocks * kernel.workgroup)) /
        ((program.tileQ / 4) * valueBlocks(pipeline));
      tile = { rows: 4, keys: 4 };
      words = 1;
      break;
    case "fused":
      break;
  }
  const entries = mapEntries(pipeline, kernel, shape, knobs, tile);
  const multiplyAdds = entries.live * perEntry;
  const bytes = entries.written * words * 4;
  return {
    cost: {
      multiplyAdds,
      floorMultiplyAdds: floorOf(pipeline, shape),
      bytes,
      barriers: 0,
      time:
        COST.staged * (entries.live * timePerEntry + entries.written * words * COST.word) +
        entries.strips * COST.dispatch,
    },
    counts: {
      ...NO_COUNTS,
      f32MultiplyAdds: multiplyAdds,
      specialFunctions: program.kind === "normalize" ? entries.live : 0,
      sharedBytes: entries.live * shared,
      cacheBytes: bytes,
      mapBytes: bytes,
    },
  };
}

export function addCosts(costs: readonly Cost[]): Cost {
  const sum = { multiplyAdds: 0, floorMultiplyAdds: 0, bytes: 0, barriers: 0, time: 0 };
  for (const cost of costs) {
    sum.multiplyAdds += cost.multiplyAdds;
    sum.floorMultiplyAdds = cost.floorMultiplyAdds;
    sum.bytes += cost.bytes;
    sum.barriers += cost.barriers;
    sum.time += cost.time;
  }
  return sum;
}
