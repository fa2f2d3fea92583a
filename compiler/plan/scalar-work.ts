import {
  BYTES_PER_ELEMENT,
  type CallShape,
  type ChainStep,
  type CombineProgram,
  type FusedProgram,
  type GradientProgram,
  type KernelProgram,
  type LibraryProgram,
  type Pipeline,
  type Reach,
  type TensorProgram,
} from "../../runtime/contract/index.ts";
import { keyRanges } from "../ir/index.ts";
import { regionAt } from "./chain.ts";
import type { Kernel } from "./define.ts";
import { convAt, mixAt } from "./graph.ts";
import { ceilTo, valueBlocks } from "./layout.ts";
import type { GpuTask } from "./machine.ts";
import { mapEntries, type StripShape } from "./map-entries.ts";
import { rememberByPipeline } from "./remember.ts";
import { sumOverRows } from "./row-sums.ts";
import type { ScalarUnits, UnitWork } from "./scalar-units.ts";
import { type KernelWork, NO_COUNTS, timesCounts, WARP, type WorkCounts, workOf } from "./work.ts";

/** What a scalar kernel over maps does. */
export type MapProgram = Exclude<
  KernelProgram,
  CombineProgram | FusedProgram | TensorProgram | LibraryProgram | GradientProgram
>;

/** Units that a block does in a step along the keys; its busiest thread does `rounds` of them. */
interface Share {
  readonly unit: UnitWork;
  readonly count: number;
  readonly rounds: number;
}

function shared(unit: UnitWork, count: number, threads: number): Share {
  return { unit, count, rounds: Math.ceil(count / threads) };
}

function stageShares(
  pipeline: Pipeline,
  { program, workgroup }: Kernel<FusedProgram>,
  step: ChainStep,
  units: ScalarUnits,
): readonly Share[] {
  const { headBlock, tileK } = program;
  if (step.kind === "mix") {
    const { group } = mixAt(pipeline, step.stage);
    const count = ((headBlock / group) * regionAt(program, step.in).rows * tileK) / 4;
    return [shared(units.mix(group, group, "workgroup"), count, workgroup)];
  }
  const count = (headBlock * regionAt(program, step.to).rows * tileK) / 16;
  const unit =
    step.kind === "dot" ? units.dot(pipeline.headDim) : units.conv(convAt(pipeline, step.stage), "workgroup");
  return [shared(unit, count, workgroup), shared(units.block, count, workgroup)];
}

/** All that a block does in a step. */
function stepShares(pipeline: Pipeline, kernel: Kernel<FusedProgram>, units: ScalarUnits): readonly Share[] {
  const { program, workgroup: threads } = kernel;
  const { headBlock, tileQ, tileK, role } = program;
  const entries = headBlock * tileQ * tileK;
  const shares = program.chain.flatMap((step) => [
    ...stageShares(pipeline, kernel, step, units),
    ...(step.finish.mask === "normalize" ? [shared(units.exp, entries, threads)] : []),
  ]);
  if (role !== "apply")
    shares.push({
      unit: units.softmax(role === "single_pass"),
      count: entries,
      rounds: tileK / program.team,
    });
  if (role !== "statistics") {
    const blocks = valueBlocks(pipeline);
    const same = headBlock === 1 && threads % blocks === 0 ? program.outputBlocks : 1;
    const steps = tileK / 4;
    // Whole warps at each of the steps.
    const count = ceilTo(((headBlock * tileQ) / 4) * blocks, units.lanes) * steps;
    shares.push({
      unit: units.product(blocks, same, "workgroup"),
      count,
      rounds: program.outputBlocks * steps,
    });
  }
  return shares;
}

function countShares(shares: readonly Share[], lanes: number): WorkCounts {
  const counts = { ...NO_COUNTS };
  for (const { unit, count } of shares) {
    const threads = ceilTo(count, lanes);
    counts.f32MultiplyAdds += threads * unit.f32MultiplyAdds;
    counts.specialFunctions += threads * unit.specialFunctions;
    counts.sharedBytes += threads * unit.sharedBytes;
    counts.instructions += (threads * unit.instructions) / WARP;
  }
  return counts;
}

const rememberedSteps = rememberByPipeline<number>();

/** Steps along the keys of all row tiles together. */
function fusedSteps(pipeline: Pipeline, program: FusedProgram, shape: CallShape): number {
  const { tileQ, tileK } = program;
  const { lag } = regionAt(program, program.final);
  const left = program.regions.reduce((sum, region) => sum + region.carry, 0) - lag;
  return rememberedSteps(pipeline, [shape.Lq, shape.Lk, tileQ, tileK, lag, left].join(), () => {
    const range = keyRanges(pipeline, shape);
    return sumOverRows(0, shape.Lq, tileQ, (row) => {
      const [low, high] = range(row, Math.min(row + tileQ, shape.Lq) - 1);
      return high > low ? Math.ceil((high + lag) / tileK) - Math.floor(Math.max(0, low - left) / tileK) : 0;
    });
  });
}

/** The work of a fused kernel over the whole call. */
export function fusedWork({ pipeline, machine, shape }: GpuTask, kernel: Kernel<FusedProgram>): KernelWork {
  const { units } = machine;
  const { program, workgroup } = kernel;
  const { headBlock, tileQ, tileK, role } = program;
  const shares = stepShares(pipeline, kernel, units);
  const barriers = 1 + program.chain.length + (role === "apply" ? 0 : 2);
  const control = units.step + barriers * units.barrier;
  const counts = countShares(shares, units.lanes);
  const path = shares.reduce((sum, { unit, rounds }) => sum + rounds * unit.instructions, control);
  // Only passes that multiply with v read it.
  const dims =
    (role === "statistics" ? 0 : pipeline.valueDim) +
    pipeline.headDim * (units.rereadsQueries ? 1 + tileQ / tileK : 1);
  const step = {
    ...counts,
    instructions: counts.instructions + (control * workgroup) / WARP,
    cacheBytes: headBlock * tileK * dims * BYTES_PER_ELEMENT[pipeline.storage],
  };
  const tiles = Math.ceil(shape.Lq / tileQ);
  const groups = (pipeline.heads / headBlock) * shape.B;
  const steps = fusedSteps(pipeline, program, shape);
  return workOf(kernel, timesCounts(step, steps * groups), {
    blocks: tiles * groups,
    barriers: barriers * steps * groups,
    // Blocks of a causal mask take turns from short to long: their mean.
    criticalPath: (path * steps) / tiles,
  });
}

/** What a kernel over maps does for an entry. */
interface EntryWork {
  readonly unit: UnitWork;
  /** Units that so many entries take, and how many more than that its threads wait for. */
  readonly count: number;
  readonly entries: number;
  readonly idle: number;
  /** Words of maps that are read and written for it. */
  readonly words: number;
  /** Bytes of a tile that is copied to workgroup memory first. */
  readonly stagedBytes: number;
  /** Entries of a tile, all of which are computed where one is visible, and of a block. */
  readonly tile: { readonly rows: number; readonly keys: number };
  readonly perBlock: number;
}

function entryWork(
  pipeline: Pipeline,
  { program, workgroup: threads }: Kernel<MapProgram>,
  shape: CallShape,
  units: ScalarUnits,
): EntryWork {
  const block = {
    count: 1,
    entries: 16,
    idle: 1,
    words: 1,
    stagedBytes: 0,
    perBlock: threads * 16,
  };
  switch (program.kind) {
    case "scores": {
      const unit = placed(units.dot(pipeline.headDim), units);
      return { ...block, unit, tile: { rows: program.tileQ, keys: program.tileK } };
    }
    case "conv": {
      const { tileQ, tileK, source } = program;
      const stage = convAt(pipeline, program.stage);
      const halo = source === "workgroup" ? (program.haloRows * program.rowStride) / (tileQ * tileK) : 0;
      return {
        ...block,
        unit: placed(units.conv(stage, source), units),
        words: 1 + (source === "workgroup" ? halo * stage.across : 4),
        stagedBytes: 4 * halo * stage.across,
        tile: { rows: tileQ, keys: tileK },
      };
    }
    case "mix": {
      const { outputs } = program;
      const { group } = mixAt(pipeline, program.stage);
      return {
        ...block,
        unit: units.mix(group, outputs, "storage"),
        entries: 4 * outputs,
        words: 1 + group / outputs,
        tile: { rows: 1, keys: program.tileK },
        perBlock: threads * 4 * outputs,
      };
    }
    case "dropout":
      return {
        ...block,
        unit: units.dropout,
        entries: 1,
        words: 2,
        tile: { rows: 1, keys: program.tileK },
        perBlock: threads * 4,
      };
    case "normalize":
      return {
        ...block,
        unit: units.normalize,
        entries: 1,
        words: 5,
        tile: { rows: 1, keys: 4 },
        perBlock: (threads / program.team) * shape.Lk,
      };
    case "product": {
      const { tileQ, outputBlocks } = program;
      const blocks = valueBlocks(pipeline);
      return {
        ...block,
        unit: units.product(blocks, 1, "storage"),
        count: blocks,
        // Threads without a block of the tile wait for the others.
        idle: (outputBlocks * threads) / ((tileQ / 4) * blocks),
        // Each thread walks the keys of its own four rows.
        tile: { rows: 4, keys: 4 },
        perBlock: tileQ * shape.Lk,
      };
    }
  }
}

/** A 4x4 block's op with placing and masking it. */
function placed(unit: UnitWork, { block }: ScalarUnits): UnitWork {
  return { ...unit, instructions: unit.instructions + block.instructions };
}

/** The work of one kernel of the staged schedule over the whole call. */
export function mapWork(
  { pipeline, machine, shape }: GpuTask,
  kernel: Kernel<MapProgram> & { readonly halo: Reach },
  strips: StripShape,
): KernelWork {
  const { units } = machine;
  const work = entryWork(pipeline, kernel, shape, units);
  const { unit } = work;
  const { live, written, launches } = mapEntries(pipeline, shape, strips, kernel.halo, work.tile);
  const busy = (live * work.count) / work.entries;
  const waiting = busy * work.idle;
  const lanes = units.lanes === 1 ? busy : waiting;
  const words = written * work.words;
  const mapBytes = words * 4;
  const counts = {
    ...NO_COUNTS,
    f32MultiplyAdds: lanes * unit.f32MultiplyAdds,
    specialFunctions: lanes * unit.specialFunctions,
    instructions: (units.maps * waiting * unit.instructions + words * units.word) / WARP,
    sharedBytes: lanes * unit.sharedBytes + live * work.stagedBytes,
    cacheBytes: mapBytes,
    mapBytes,
  };
  return workOf(kernel, counts, {
    blocks: launches * Math.ceil(live / work.perBlock / launches),
    launches,
  });
}
