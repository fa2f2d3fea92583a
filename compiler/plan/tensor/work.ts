import type {
  CallShape,
  Pipeline,
  Reach,
  TensorFoldProgram,
  TensorMixProgram,
  TensorProductProgram,
  TensorStatisticsProgram,
  TensorTileProgram,
} from "../../../runtime/contract/index.ts";
import { keyRanges } from "../../ir/index.ts";
import type { Kernel } from "../define.ts";
import { convAt } from "../graph.ts";
import type { GpuTask } from "../machine.ts";
import { mapEntries, type StripShape } from "../map-entries.ts";
import { sumOverRows } from "../row-sums.ts";
import {
  type KernelWork,
  MMA_MULTIPLY_ADDS,
  NO_COUNTS,
  timesCounts,
  WARP,
  WAVEFRONT_BYTES,
  type WorkCounts,
  workOf,
} from "../work.ts";
import { INNER_STEP, innerMargin, tileRows } from "./support.ts";

/** What a kernel does over a call, and in how many blocks. */
interface CountedBlocks extends WorkCounts {
  readonly blocks: number;
}

/** Work of 16-byte fragment loads and of products, in the units in which they are counted here. */
interface Fragments {
  readonly mma: number;
  /** Transfers between shared memory and registers: an `ldmatrix.x4` takes four. */
  readonly wavefronts: number;
}

/** Instructions of a warp beside products and loads, a step along the keys. */
const STEP_INSTRUCTIONS = 40;
/** Warp instructions that combining takes a row and part (counted at head size 96). */
const COMBINE_INSTRUCTIONS = 110;
/** `ldmatrix.x4`. */
const LOAD = 4;

/** The products of a step, and what they load, over all warps of a block. */
function tileFragments(pipeline: Pipeline, program: TensorTileProgram): Fragments {
  const { rowBlocks, warps, tileK, conv, sink } = program;
  const dot = program.source === "dot";
  const values = sink === "attention" || sink === "product";
  // Folded keys are multiplied once a kernel row.
  const headSteps = Math.ceil(pipeline.headDim / 16) * copiesOf(pipeline, program);
  const valueSteps = Math.ceil(pipeline.valueDim / 16);
  // Sixteen-row blocks by eight-key blocks.
  const blocks = warps * rowBlocks * (tileK / 8);
  const haloBlocks = dot && program.folded === null ? (program.haloPast + program.haloFuture) / 8 : 0;
  const keyBlocks = tileK / 16;
  const queryReads = dot && !program.queriesInRegisters ? rowBlocks * (tileK / program.columns) : 0;
  const convolved = conv === null ? { mma: 0, wavefronts: 0 } : convFragments(pipeline, conv, blocks);
  return {
    mma:
      (dot ? blocks * headSteps : 0) +
      haloBlocks * keyBlocks * headSteps +
      convolved.mma +
      (values ? blocks * valueSteps : 0),
    wavefronts:
      haloBlocks * keyBlocks * headSteps * 6 +
      (dot ? warps * keyBlocks * headSteps * LOAD : 0) +
      warps * headSteps * queryReads * LOAD +
      convolved.wavefronts +
      (values ? warps * keyBlocks * valueSteps * LOAD : 0),
  };
}

function convFragments(
  pipeline: Pipeline,
  conv: NonNullable<TensorTileProgram["conv"]>,
  blocks: number,
): Fragments {
  const { query } = convAt(pipeline, conv.stage).kernel;
  const distances = conv.granulesLeft + conv.granulesRight + 1;
  const exact = conv.precision === "exact";
  return {
    // The last row of an odd kernel takes products of half the depth.
    mma: ((blocks * query) / 2) * distances * (exact ? 3 : 1),
    wavefronts:
      blocks * Math.ceil(query / 2) * ((exact ? 2 : 1) * LOAD + (conv.taps === "shared" ? 2 * distances : 0)),
  };
}

/** Copies of the keys that are multiplied: folded ones once a kernel row. */
function copiesOf(pipeline: Pipeline, { folded }: TensorTileProgram): number {
  return folded === null ? 1 : convAt(pipeline, folded).kernel.query;
}

/** What a block does in a step along the keys. */
function tileStep(pipeline: Pipeline, program: TensorTileProgram): WorkCounts {
  const { warps, tileK, conv, sink, source } = program;
  const entries = tileRows(program) * tileK;
  const { mma, wavefronts } = tileFragments(pipeline, program);
  const softmax = sink === "map" ? 0 : 1;
  const weights = source === "scores" ? 1 : 0;
  const perEntry = softmax * 3.5 + (conv === null ? 0.5 : 1.5) + weights * 3.5;
  const copied =
    source === "dot" ? 2 * tileK * (pipeline.headDim * copiesOf(pipeline, program) + pipeline.valueDim) : 0;
  const stored = conv === null ? 0 : entries * (conv.precision === "exact" ? 4 : 2);
  const mapBytes = entries * 2 * ((source === "dot" ? 0 : 1) + (sink === "map" ? 1 : 0));
  return {
    matrixMultiplyAdds: mma * MMA_MULTIPLY_ADDS,
    f32MultiplyAdds: entries * softmax * 2.5,
    specialFunctions: entries * (softmax + weights),
    instructions: mma + wavefronts / LOAD + (entries * perEntry) / WARP + STEP_INSTRUCTIONS * warps,
    sharedBytes: wavefronts * WAVEFRONT_BYTES + copied + stored,
    cacheBytes: copied + mapBytes,
    mapBytes,
  };
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
  const clear = keyRanges(pipeline, shape)(row, row)[1] - innerMargin(convAt(pipeline, index));
  const inner = Math.min(seen, Math.floor(Math.max(0, clear) / INNER_STEP) * INNER_STEP);
  return keys === "inner" ? inner : seen - inner;
}

/** A tile kernel that keeps its results: each block walks the keys of its rows. */
function walkedTiles(pipeline: Pipeline, shape: CallShape, program: TensorTileProgram): CountedBlocks {
  const heads = pipeline.heads * shape.B;
  const rows = tileRows(program);
  const tiles = Math.ceil(shape.Lq / rows);
  const range = keyRanges(pipeline, shape);
  const walked = sumOverRows(0, shape.Lq, rows, (row) => {
    const [low, high] = range(row, Math.min(row + rows, shape.Lq) - 1);
    return Math.ceil(walkedKeys(pipeline, shape, program, row, high - low) / program.tileK);
  });
  const steps = tiles * trailingSteps(program) + walked;
  const counts = timesCounts(tileStep(pipeline, program), steps * heads);
  // Results of a part of the keys are written in f32 and read again: combining them counts to the kernels that leave them.
  const combined = program.keys === "all" ? 0 : tiles * rows * heads;
  return {
    ...counts,
    instructions: counts.instructions + combined * COMBINE_INSTRUCTIONS,
    cacheBytes: counts.cacheBytes + combined * pipeline.valueDim * 8,
    blocks: tiles * heads,
  };
}

/** Steps by which results trail their scores. */
function trailingSteps({ conv, tileK }: TensorTileProgram): number {
  return conv !== null && conv.granulesRight > 0 ? 8 / tileK : 0;
}

function foldWork(pipeline: Pipeline, shape: CallShape, program: TensorFoldProgram): CountedBlocks {
  const rows = convAt(pipeline, program.stage).kernel.query;
  const elements = pipeline.heads * shape.B * shape.Lk * pipeline.headDim;
  // Sixteen keys by eight elements a product, twice: taps are pairs.
  const mma = (elements / 128) * rows * program.sourceSteps * 2;
  return {
    ...NO_COUNTS,
    matrixMultiplyAdds: mma * MMA_MULTIPLY_ADDS,
    instructions: mma * 2.5,
    sharedBytes: mma * 2 * WAVEFRONT_BYTES,
    cacheBytes: elements * 2 * (rows + 1),
    blocks: (shape.Lk / (program.warps * 16)) * pipeline.heads * shape.B,
  };
}

/**
 * The work of a kernel over the whole call that keeps no maps. Which blocks share keys, and so whether parts of all keys are
 * combined, only a call can say.
 */
export function tensorRowWork(
  { pipeline, shape }: GpuTask,
  kernel: Kernel<TensorTileProgram | TensorFoldProgram>,
): KernelWork {
  const { program } = kernel;
  const counted =
    program.kind === "tensor_fold"
      ? foldWork(pipeline, shape, program)
      : walkedTiles(pipeline, shape, program);
  return tensorWork(kernel, counted, 1);
}

/** What a tensor-core kernel over maps does. */
export type MapProgram =
  | TensorTileProgram
  | TensorMixProgram
  | TensorStatisticsProgram
  | TensorProductProgram;

/** Counts of a kernel over maps that computes `live` entries. */
function countMap(
  pipeline: Pipeline,
  { B, Lq, Lk }: CallShape,
  program: MapProgram,
  live: number,
): CountedBlocks {
  const { heads, valueDim } = pipeline;
  switch (program.kind) {
    case "tensor_tile": {
      const rows = tileRows(program);
      const tiles = Math.ceil(Lq / rows) * heads * B;
      const steps = live / (rows * program.tileK) + tiles * trailingSteps(program);
      const chunk = program.map?.chunk ?? Lk;
      return {
        ...timesCounts(tileStep(pipeline, program), steps),
        // The last chunk of a tile is half full on average.
        blocks: tiles / 2 + (steps * program.tileK) / chunk,
      };
    }
    case "tensor_mix": {
      const exponentials = (program.softmax === null ? 0 : 1) + (program.source === "scores" ? 1 : 0);
      // The maximum is found first.
      const passes = program.softmax === null ? 1 : 2;
      return {
        // Products are exact: two for each.
        matrixMultiplyAdds: live * 32 * program.inputChunks * passes,
        f32MultiplyAdds: live * exponentials,
        specialFunctions: live * exponentials,
        instructions: (live * (2.2 * passes * program.inputChunks + 1.2 * exponentials)) / WARP,
        sharedBytes: 0,
        cacheBytes: live * 2 * (passes * program.inputChunks + 1),
        mapBytes: live * 4,
        blocks: (Lq * B * Math.ceil(heads / 16)) / (program.warps * program.rowsPerWarp),
      };
    }
    // Log-sum-exp of rows of a map.
    case "tensor_statistics":
      return {
        ...NO_COUNTS,
        f32MultiplyAdds: live * 2,
        specialFunctions: live,
        instructions: (live * 7) / WARP,
        cacheBytes: live * 2,
        mapBytes: live * 2,
        blocks: (Lq * heads * B * program.lanes) / (program.warps * WARP),
      };
    case "tensor_product": {
      const weights = program.source === "scores" ? 1 : 0;
      const rows = tileRows(program);
      return {
        ...NO_COUNTS,
        matrixMultiplyAdds: live * valueDim,
        specialFunctions: live * weights,
        instructions: (live * (1 + 4 * weights)) / WARP + (live * valueDim * 1.4) / MMA_MULTIPLY_ADDS,
        // A tile's weights and values are written once; every warp reads all the values.
        sharedBytes: live * (4 + (10 * valueDim) / rows),
        cacheBytes: live * 2,
        mapBytes: live * 2,
        blocks: (Lq / rows) * heads * B,
      };
    }
  }
}

/** Tile of the kernels that have none of their own: how live entries are counted. */
const MAP_TILE = { rows: 64, keys: 64 } as const;

/** And of those that leave products of unseen blocks out. */
const SKIPPED_TILE = { rows: 16, keys: 16 } as const;

/** The tile all of whose entries a kernel computes where it computes one. */
function liveTile(program: MapProgram): Readonly<Record<"rows" | "keys", number>> {
  if (program.kind !== "tensor_tile") return MAP_TILE;
  return program.skips ? SKIPPED_TILE : { rows: tileRows(program), keys: program.tileK };
}

/** The work of a kernel over maps over the whole call. */
export function tensorMapWork(
  { pipeline, shape }: GpuTask,
  kernel: Kernel<MapProgram> & { readonly halo: Reach },
  strips: StripShape,
): KernelWork {
  const { program } = kernel;
  const { live, launches } = mapEntries(pipeline, shape, strips, kernel.halo, liveTile(program));
  return tensorWork(kernel, countMap(pipeline, shape, program, live), launches);
}

function tensorWork(
  kernel: Kernel<MapProgram | TensorFoldProgram>,
  counted: CountedBlocks,
  launches: number,
): KernelWork {
  const copiesAhead = kernel.program.kind !== "tensor_statistics";
  const blocks = Math.max(launches, counted.blocks);
  return workOf(kernel, counted, { blocks, launches, copiesAhead });
}
