import {
  type ConvStage,
  type Expression,
  hasMask,
  type MixStage,
  type Pipeline,
  type StageIndex,
  sourceKeys,
  type TensorConvProgram,
  type TensorGradientProgram,
} from "../../../runtime/contract/index.ts";
import { mapOperand } from "../bindings.ts";
import { memoryFault } from "../fit.ts";
import type { Grid } from "../machine.ts";
import { tileGrid } from "../schedule/staged-kernels.ts";
import { rowsOf } from "../schedule/strips.ts";
import { toeplitzGeometry } from "../tensor/support.ts";
import { paddedRow } from "../tensor/tile.ts";
import { WARP } from "../work.ts";
import type { BackwardStep } from "./graph.ts";
import { type BackwardKernel, type BackwardTask, D_VALUES } from "./kernel.ts";
import { entryOf, LARGEST, largestOfSteps, recorded, scaledBy } from "./largest.ts";
import { conv, mix } from "./maps.ts";
import { keyProduct, type Products, rowProduct, scores, weightsGradient } from "./products.ts";
import { convGradient, KEY_PARTS, mixGradient, SUM_KEYS } from "./sums.ts";

const WARPS = 4;
/** Rows of a block of the kernels that take 32 a warp, and keys of one that takes as many. */
const BLOCK_ROWS = WARPS * 32;
const TILE_K = 64;
/** Rows of a step of what gathers over rows, and the most channels beside which a thread has registers for the entries of as many (ptxas reports). */
const STEP_ROWS = { few: 32, many: 64, mostChannels: 96 } as const;
/** Channels whose sums a thread keeps beside 32 keys, and beside entries of 32 rows, fewer where masks read memory for each pair (ptxas reports). */
const MOST_CHANNELS = { keys: 128, rows: 96, testedRows: 80 } as const;
const REGISTERS = 255;
/** Fragments of a kernel that a thread keeps, or sums of products of two kernel rows with blocks of keys (ptxas reports). */
const MOST_FRAGMENTS = { f16: 12, exact: 9, gradient: 24 } as const;
/** Blocks of keys that a key's taps read. */
const MOST_DISTANCES = 9;
/** Keys of a block that multiplies rows with keys or values: it keeps the rows for four tiles. */
const PAIR_KEYS = 4 * TILE_K;
/**
 * How warps share the rows of a block that multiplies them with keys or values, fewest rows first. Masks that read memory for each pair take the
 * registers of a third block of rows (ptxas reports).
 */
const ROW_SHARES = {
  ranges: [
    { warps: WARPS, rowBlocks: 2 },
    { warps: 3, rowBlocks: 3 },
    { warps: WARPS, rowBlocks: 3 },
  ],
  pairs: [
    { warps: WARPS, rowBlocks: 2 },
    { warps: 5, rowBlocks: 2 },
    { warps: 6, rowBlocks: 2 },
  ],
} as const;
/** Heads of a fragment: groups of more are mixed on f32 units. */
const FRAGMENT_HEADS = 16;
/** Rows of a block that mixes heads. */
const MIX_ROWS = 16;
/** Keys along which a block keeps the fragments of its kernel. */
const CONV_KEYS = 256;
/** Bytes of the sums of one: sixteen by eight f32. */
const PRODUCT_BYTES = 512;

/** A kernel on tensor cores in place of one on scalar units, where it fits a block's memory. */
function inPlaceOf(
  task: BackwardTask,
  scalar: BackwardKernel,
  kernel: {
    readonly program: TensorGradientProgram & { readonly sharedBytes: number };
    readonly read: BackwardKernel["read"];
    readonly grid: Grid;
  },
): BackwardKernel {
  const { warps, sharedBytes } = kernel.program;
  if (memoryFault(task.machine, sharedBytes) !== null) return scalar;
  return {
    ...scalar,
    ...kernel,
    workgroup: warps * WARP,
    workgroupBytes: sharedBytes,
    registers: REGISTERS,
  };
}

/** The fewest rows of a block that hold those of a usual strip with the rows around it: a second block for a few rows would do as much again. */
function rowShare(
  pipeline: Pipeline,
  { past, future }: BackwardKernel["halo"],
): { readonly warps: number; readonly rowBlocks: number } {
  const shares = testsPairs(pipeline) ? ROW_SHARES.pairs : ROW_SHARES.ranges;
  const rows = BLOCK_ROWS + past + future;
  return shares.find(({ warps, rowBlocks }) => warps * 16 * rowBlocks >= rows) ?? shares[0];
}

/** Whether the mask is looked up for pairs of rows and keys, where they are no ranges. */
function testsPairs(pipeline: Pipeline): boolean {
  return hasMask(pipeline, "documents") || hasMask(pipeline, "bias");
}

/** Rows of q, or of the results' gradient, times keys or values. */
function pairs(task: BackwardTask, scalar: BackwardKernel, of: "k" | "v"): BackwardKernel {
  const { pipeline } = task;
  const { warps, rowBlocks } = rowShare(pipeline, scalar.halo);
  const tileQ = warps * 16 * rowBlocks;
  const scale = of === "v" ? entryOf(task, undefined) : null;
  const rowBytes = paddedRow(of === "k" ? pipeline.headDim : pipeline.valueDim);
  const rows = of === "k" ? ["q", "q_history"] : [D_VALUES, ...scaledBy(scale)];
  return inPlaceOf(task, scalar, {
    program: {
      kind: "tensor_pairs",
      of,
      rowBlocks,
      warps,
      tileK: TILE_K,
      blockKeys: PAIR_KEYS,
      scale,
      sharedBytes: (tileQ + 2 * TILE_K) * rowBytes,
      rowBytes,
    },
    read: [...rows, of, "integers", "bias"],
    grid: tileGrid(task, scalar, { tileQ, tileK: PAIR_KEYS }, pipeline.heads),
  });
}

/** What a convolution's products are made of, or null where products of one head's neighbouring rows and keys cannot compute it. */
function fragments(pipeline: Pipeline, stage: ConvStage, adjoint: boolean) {
  const { kernel, dilation, across } = stage;
  const dilated = dilation.query > 1 || dilation.key > 1;
  // Rows of different documents lie side by side.
  if (across > 1 || dilated || hasMask(pipeline, "documents")) return null;
  const { granulesLeft: left, granulesRight: right } = toeplitzGeometry(stage);
  const pairs = Math.ceil(kernel.query / 2);
  const distances = left + right + 1;
  if (distances > MOST_DISTANCES) return null;
  const [granulesLeft, granulesRight] = adjoint ? [right, left] : [left, right];
  return { pairs, distances, count: pairs * distances, granulesLeft, granulesRight };
}

/** Scores may have much in common that f16 would not hold beside their differences; gradients have a range of their own. */
function precisionOf(adjoint: boolean, { section }: StageIndex): TensorConvProgram["precision"] {
  return !adjoint && section === "scores" ? "exact" : "f16";
}

/** Heads that a block mixes: whole groups. */
function mixedHeads({ group }: MixStage): number {
  return group * Math.floor(FRAGMENT_HEADS / group);
}

/** The map of gradients that a step multiplies as f16. */
function scaledMap(pipeline: Pipeline, step: BackwardStep): number | null {
  switch (step.kind) {
    case "query_gradient":
    case "key_gradient":
      // bf16 has the range of f32.
      return pipeline.storage === "f16" ? step.d : null;
    case "conv_gradient":
    case "conv_adjoint":
      return fragments(pipeline, step.op.stage, step.kind === "conv_adjoint") === null ? null : step.d;
    case "mix_gradient":
    case "mix_adjoint":
      return step.op.stage.group > FRAGMENT_HEADS ? null : step.d;
    default:
      return null;
  }
}

/** Products on tensor cores: rounded to the storage type where they are multiplied, summed in f32. */
export const TENSOR_PRODUCTS: Products = {
  scores: (task, ...rest) => pairs(task, scores(task, ...rest), "k"),
  weightsGradient: (task, ...rest) => pairs(task, weightsGradient(task, ...rest), "v"),
  rowProduct(task, asked) {
    const { pipeline, machine } = task;
    const { of, map, rows } = asked;
    const scalar = rowProduct(task, asked);
    const channels = of === "k" ? pipeline.headDim : pipeline.valueDim;
    const { rows: most, testedRows } = MOST_CHANNELS;
    const rowBlocks = channels > (testsPairs(pipeline) ? testedRows : most) ? 1 : 2;
    const scale = asked.d === undefined ? null : entryOf(task, asked.d);
    const rowBytes = paddedRow(channels);
    return inPlaceOf(task, scalar, {
      program: {
        kind: "tensor_row_product",
        of,
        rowBlocks,
        warps: WARPS,
        tileK: TILE_K,
        scale,
        sharedBytes: 2 * TILE_K * rowBytes,
        rowBytes,
      },
      read: [mapOperand(map, "map", 1), of, ...scaledBy(scale), "integers", "bias"],
      grid: machine.mapGrid.rows(["ceilDiv", rowsOf(rows), WARPS * 16 * rowBlocks], pipeline.heads),
    });
  },
  keyProduct(task, asked) {
    const { pipeline, machine } = task;
    const { of, map, read } = asked;
    const scalar = keyProduct(task, asked);
    const channels = of === "k" ? pipeline.headDim : pipeline.valueDim;
    if (channels > MOST_CHANNELS.keys) return scalar;
    const tileQ = channels > STEP_ROWS.mostChannels ? STEP_ROWS.few : STEP_ROWS.many;
    // Weights are not scaled, the rows that they multiply are.
    const scale = entryOf(task, asked.d);
    const rowBytes = paddedRow(channels);
    const keys: Expression = ["sub", "key_end", "key_begin"];
    return inPlaceOf(task, scalar, {
      program: {
        kind: "tensor_key_product",
        of,
        warps: WARPS,
        tileQ,
        scale,
        sharedBytes: 2 * tileQ * rowBytes,
        rowBytes,
      },
      read: [mapOperand(map, "map", 1), ...read, ...scaledBy(scale), "integers", "bias"],
      grid: machine.mapGrid.rows(["ceilDiv", keys, BLOCK_ROWS], pipeline.kvHeads),
    });
  },
  conv(task, step, from, to) {
    const { pipeline } = task;
    const scalar = conv(task, step, from, to);
    const { stage, index } = step.op;
    const adjoint = step.kind === "conv_adjoint";
    const precision = precisionOf(adjoint, index);
    const scale = step.kind === "conv_adjoint" ? entryOf(task, step.d) : null;
    const shape = fragments(pipeline, stage, adjoint);
    if (shape === null || shape.count > MOST_FRAGMENTS[precision]) return scalar;
    const { pairs, granulesLeft, granulesRight } = shape;
    const keys = { tileK: TILE_K, granulesLeft, granulesRight };
    const rowBytes = paddedRow(sourceKeys(keys));
    const tileQ = WARPS * 16;
    return inPlaceOf(task, scalar, {
      program: {
        kind: "tensor_conv",
        stage: index,
        adjoint,
        precision,
        scale,
        warps: WARPS,
        ...keys,
        blockKeys: CONV_KEYS,
        sharedBytes: (tileQ + 2 * pairs) * rowBytes * (precision === "exact" ? 2 : 1),
        rowBytes,
      },
      read: [mapOperand(from, "source", 1), "parameters", "integers", "bias", ...scaledBy(scale)],
      grid: tileGrid(task, scalar, { tileQ, tileK: CONV_KEYS }, pipeline.heads),
    });
  },
  convGradient(task, step, from, d) {
    const { pipeline, machine } = task;
    const scalar = convGradient(task, step, from, d);
    const { stage, index } = step.op;
    const shape = fragments(pipeline, stage, false);
    const scale = entryOf(task, step.d);
    if (scale === null || shape === null || shape.count > MOST_FRAGMENTS.gradient) return scalar;
    const { pairs, distances, granulesLeft, granulesRight } = shape;
    const keys = { tileK: TILE_K, granulesLeft, granulesRight };
    const rowBytes = { d: paddedRow(TILE_K), source: paddedRow(sourceKeys(keys)) };
    const tiles = (BLOCK_ROWS + 2 * pairs) * rowBytes.d + BLOCK_ROWS * rowBytes.source;
    const sharedBytes = Math.max(tiles, WARPS * pairs * distances * PRODUCT_BYTES);
    return inPlaceOf(task, scalar, {
      program: {
        kind: "tensor_conv_gradient",
        stage: index,
        scale,
        warps: WARPS,
        rowBlocks: 2,
        ...keys,
        blockKeys: SUM_KEYS,
        sharedBytes,
        rowBytes,
      },
      read: [...scalar.read, LARGEST],
      grid: machine.mapGrid.rows(KEY_PARTS, pipeline.heads),
    });
  },
  mix(task, step, from, to) {
    const { pipeline } = task;
    const scalar = mix(task, step, from, to);
    const { stage, index } = step.op;
    if (stage.group > FRAGMENT_HEADS) return scalar;
    const adjoint = step.kind === "mix_adjoint";
    const scale = step.kind === "mix_adjoint" ? entryOf(task, step.d) : null;
    const heads = mixedHeads(stage);
    const blocks = { tileQ: MIX_ROWS, tileK: CONV_KEYS };
    return inPlaceOf(task, scalar, {
      program: {
        kind: "tensor_map_mix",
        stage: index,
        adjoint,
        precision: precisionOf(adjoint, index),
        scale,
        warps: WARPS,
        heads,
        tileQ: MIX_ROWS,
        blockKeys: CONV_KEYS,
        sharedBytes: 0,
      },
      read: [mapOperand(from, "source", 1), "parameters", "integers", "bias", ...scaledBy(scale)],
      grid: tileGrid(task, scalar, blocks, Math.ceil(pipeline.heads / heads)),
    });
  },
  mixGradient(task, step, from, d) {
    const { pipeline, machine } = task;
    const scalar = mixGradient(task, step, from, d);
    const { stage, index } = step.op;
    const scale = entryOf(task, step.d);
    if (scale === null || stage.group > FRAGMENT_HEADS) return scalar;
    const heads = mixedHeads(stage);
    return inPlaceOf(task, scalar, {
      program: {
        kind: "tensor_mix_gradient",
        stage: index,
        scale,
        warps: WARPS,
        heads,
        blockKeys: SUM_KEYS,
        sharedBytes: 0,
      },
      read: [...scalar.read, "integers", LARGEST],
      grid: machine.mapGrid.rows(KEY_PARTS, Math.ceil(pipeline.heads / heads)),
    });
  },
  largest: ({ pipeline }, steps) => largestOfSteps(pipeline, steps, (step) => scaledMap(pipeline, step)),
  recorded,
};
