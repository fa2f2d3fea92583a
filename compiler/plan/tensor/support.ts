import {
  type ConvStage,
  convReach,
  hasDropout,
  hasMask,
  type Pipeline,
  type Reach,
  type TensorTileProgram,
} from "../../../runtime/contract/index.ts";
import { doesNotFit, type Fitted, fits } from "../fit.ts";
import type { ConvOp, LinearOp } from "../graph.ts";

/** Elements that `cp.async` copies at a time: rows and strides are multiples of it. */
export const CHUNK_ELEMENTS = 8;

export const NO_DROPOUT = "dropout has no tensor-core kernels";

/** Why tensor cores cannot compute a pipeline, whatever the schedule; null where they can. */
export function tensorIllegal(pipeline: Pipeline): string | null {
  if (pipeline.storage !== "f32" && pipeline.normalize === "sparsemax")
    return "sparsemax has no tensor-core kernels";
  if (hasDropout(pipeline)) return NO_DROPOUT;
  return productsIllegal(pipeline);
}

/** Why they cannot even multiply its rows; null where they can. */
export function productsIllegal(pipeline: Pipeline): string | null {
  if (pipeline.storage === "f32")
    return "tensor cores multiply f16 and bf16: dtype f32 takes exact f32 units";
  for (const [name, size] of [
    ["head_dim", pipeline.headDim],
    ["value_dim", pipeline.valueDim],
  ] as const) {
    if (size % CHUNK_ELEMENTS !== 0)
      return `${name} ${size} is no multiple of ${CHUNK_ELEMENTS}, which 16-byte copies need`;
    if (size > 256) return `${name} ${size} is more than the 256 whose tiles fit shared memory`;
  }
  return null;
}

/** Most kernel rows: documents keep one bit for each. */
const MOST_KERNEL_ROWS = 31;

/** Why a convolution cannot be lowered to products with Toeplitz matrices; null where it can. */
export function toeplitzIllegal(stage: ConvStage): string | null {
  if (stage.kernel.query > MOST_KERNEL_ROWS)
    return `${stage.name} has ${stage.kernel.query} kernel rows, more than ${MOST_KERNEL_ROWS}`;
  return null;
}

/** The convolution that an operation is, of one head; or why blocks of one head cannot compute it. */
export function oneHeadConv(op: LinearOp): Fitted<ConvOp> {
  const { name } = op.stage;
  if (op.kind === "mix") return doesNotFit(`${name} mixes heads, which blocks of one head cannot`);
  if (op.stage.across === 1) return fits(op);
  return doesNotFit(`${name} reads ${op.stage.across} heads, and a block holds one`);
}

/** Rows of a tile of a kernel whose warps compute blocks of sixteen. */
export function tileRows(tile: Pick<TensorTileProgram, "warps" | "rowBlocks">): number {
  return tile.warps * 16 * tile.rowBlocks;
}

/** Keys of a part that shares a tile's keys with another are counted in these. */
export const INNER_STEP = 64;

/**
 * Keys by which the inner keys of a tile (`TileKeys`) stay clear of the first one that its first row does not see, under a
 * causal mask: taps in the rows above see fewer keys, and taps to the right read further ones.
 */
export function innerMargin(stage: ConvStage): number {
  const { past, right } = convReach(stage);
  return past + right;
}

/** Halo and granules, blocks of eight rows or keys, of a convolution. */
export interface ToeplitzGeometry {
  readonly reach: Reach;
  readonly haloPast: number;
  readonly haloFuture: number;
  readonly granulesLeft: number;
  readonly granulesRight: number;
}

export function toeplitzGeometry(stage: ConvStage): ToeplitzGeometry {
  const reach = convReach(stage);
  const granules = (count: number): number => Math.ceil(count / 8);
  return {
    reach,
    haloPast: granules(reach.past) * 8,
    haloFuture: granules(reach.future) * 8,
    granulesLeft: granules(reach.left),
    granulesRight: granules(reach.right),
  };
}

/** Whether no source right of the last key that a tile sees can matter: rows above see no more. */
export function sourcesEndWithKeys(pipeline: Pipeline, reach: Reach): boolean {
  return hasMask(pipeline, "causal") && reach.future === 0;
}

/** Elements to which rows of a map are padded. */
export const MAP_ALIGNMENT = 64;
