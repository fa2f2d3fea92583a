import {
  convReach,
  type Expression,
  type Finish,
  hasMask,
  type Pipeline,
  type Reach,
} from "../../../runtime/contract/index.ts";
import { mapOperand } from "../bindings.ts";
import { productRegisters } from "../direct/registers.ts";
import { planEpilogue, tooLongRow } from "../epilogue.ts";
import { doesNotFit, type Fitted } from "../fit.ts";
import { type ConvOp, type DotOp, type MixOp, NO_REACH, type NormalizeOp, type ProductOp } from "../graph.ts";
import { ceilTo, valueBlocks } from "../layout.ts";
import type { Grid, Machine, Tile } from "../machine.ts";
import { registerFault } from "../registers.ts";
import { rowBegin, rowEnd, type StripKernel } from "./strips.ts";

/** What all kernels of a staged plan are made for. */
export interface StagedContext {
  readonly pipeline: Pipeline;
  readonly machine: Machine;
  /** False for the unfused baseline only: computes entries that no row sees. */
  readonly skipDead: boolean;
}

/** Rows of a workgroup of the product with V, and its size. */
export interface ProductKnobs {
  readonly productTileQ: number;
  readonly productWorkgroup: number;
}

/** Buffers of the maps that a kernel reads and writes. */
export interface Route {
  readonly from: string;
  readonly to: string;
}

/** Output heads that one invocation of a mix accumulates: four registers each. */
const MIX_OUTPUTS = 16;

/** Tiles over the rows that a kernel writes, the strip's keys, and heads. */
function tileGrid(machine: Machine, halo: Reach, { tileQ, tileK }: Tile, heads: number): Grid {
  const keys: Expression = ["sub", "key_end", "key_begin"];
  return machine.mapGrid.tiles(["ceilDiv", rows(halo), tileQ], ["ceilDiv", keys, tileK], heads);
}

function rows(halo: Reach): Expression {
  return ["sub", rowEnd(halo), rowBegin(halo)];
}

function visible(op: { readonly pointwise: Finish["pointwise"] }): Finish {
  return { pointwise: op.pointwise, mask: "zero" };
}

export function scoresKernel(
  { pipeline, machine, skipDead }: StagedContext,
  op: DotOp,
  tile: Tile,
  { to }: Pick<Route, "to">,
): StripKernel {
  return {
    name: op.name,
    program: { kind: "scores", ...tile, finish: visible(op), skipDead },
    workgroup: (tile.tileQ * tile.tileK) / 16,
    workgroupBytes: 0,
    read: ["q", "q_history", "k", "integers", "bias"],
    written: [mapOperand(to, "result", machine.staged.mapWidth)],
    source: op.source,
    halo: op.halo,
    grid: tileGrid(machine, op.halo, tile, pipeline.heads),
  };
}

/** A convolution, of its tile with its halo in workgroup memory where they fit. */
export function convKernel(
  { pipeline, machine, skipDead }: StagedContext,
  op: ConvOp,
  tile: Tile,
  { from, to }: Route,
): StripKernel {
  const { tileQ, tileK } = tile;
  const { carryMultiple, stride } = machine.rows;
  const reach = convReach(op.stage);
  const haloRows = tileQ + reach.past + reach.future;
  const haloLeft = ceilTo(reach.left, carryMultiple);
  const haloColumns = haloLeft + tileK + ceilTo(reach.right, carryMultiple);
  const rowStride = stride(haloColumns);
  const documentRows = hasMask(pipeline, "documents") ? ceilTo(haloRows, carryMultiple) : 0;
  const words = haloRows * rowStride;
  const bytes = (words + documentRows) * 4;
  const staged = bytes <= machine.limits.workgroupBytes;
  return {
    name: op.name,
    program: {
      kind: "conv",
      stage: op.index,
      source: staged ? "workgroup" : "storage",
      tileQ,
      tileK,
      haloRows,
      haloColumns,
      haloLeft,
      rowStride,
      documentRows,
      finish: visible(op),
      skipDead,
      arenaWords: staged ? words : 0,
    },
    workgroup: (tileQ * tileK) / 16,
    workgroupBytes: staged ? bytes : 0,
    read: [mapOperand(from, "source", 1), "parameters", "integers", "bias"],
    written: [mapOperand(to, "result", machine.staged.mapWidth)],
    source: op.source,
    halo: op.halo,
    grid: tileGrid(machine, op.halo, tile, pipeline.heads),
  };
}

export function mixKernel(
  { pipeline, machine, skipDead }: StagedContext,
  op: MixOp,
  { from, to }: Route,
): StripKernel {
  const { mixTile, mapWidth } = machine.staged;
  let outputs = Math.min(op.stage.group, MIX_OUTPUTS);
  while (op.stage.group % outputs !== 0) outputs -= 1;
  return {
    name: op.name,
    program: { kind: "mix", stage: op.index, ...mixTile, finish: visible(op), outputs, skipDead },
    workgroup: (mixTile.tileQ * mixTile.tileK) / 4,
    workgroupBytes: 0,
    read: [mapOperand(from, "source", mapWidth), "parameters", "integers", "bias"],
    written: [mapOperand(to, "result", mapWidth)],
    source: op.source,
    halo: op.halo,
    grid: tileGrid(machine, op.halo, mixTile, pipeline.heads / outputs),
  };
}

export function normalizeKernel(
  { pipeline, machine, skipDead }: StagedContext,
  op: NormalizeOp,
  map: string,
): StripKernel {
  const { mapWidth, normalize } = machine.staged;
  const { workgroup, team } = normalize;
  const arenaWords = normalize.words(pipeline);
  return {
    name: op.name,
    program: { kind: "normalize", team, skipDead, arenaWords },
    workgroup,
    workgroupBytes: arenaWords * 4,
    read: ["integers", "bias"],
    written: [mapOperand(map, "map", mapWidth), ...(pipeline.normalize === "softmax" ? ["lse"] : [])],
    source: op.source,
    halo: op.halo,
    grid: machine.mapGrid.rows(["ceilDiv", rows(op.halo), workgroup / team], pipeline.heads),
  };
}

/** The product with V and the stages on the output, or the limit that it breaks and by how much. */
export function productKernel(
  { pipeline, machine, skipDead }: StagedContext,
  op: ProductOp,
  { productTileQ, productWorkgroup }: ProductKnobs,
  map: string,
): Fitted<StripKernel> {
  const { mapWidth, product } = machine.staged;
  const { workgroupBytes } = machine.limits;
  const outputBlocks = Math.ceil(((productTileQ / 4) * valueBlocks(pipeline)) / productWorkgroup);
  const words = productRegisters(outputBlocks);
  const fault = registerFault(machine, { blocks: outputBlocks, words });
  if (fault !== null) return doesNotFit(`the product ${fault}; a smaller value_dim would fit`);
  const room = Math.min(product.epilogueWords, Math.floor(workgroupBytes / 4));
  const output = planEpilogue(pipeline, productTileQ, productWorkgroup, room);
  if (output === null) return doesNotFit(tooLongRow(pipeline, workgroupBytes, machine.terms.memory));
  const { epilogue } = output;
  const arenaWords = Math.max(output.words, product.masks ? productTileQ : 0);
  const masks = product.masks ? ["integers", "bias"] : [];
  return {
    fits: true,
    value: {
      name: op.name,
      program: { kind: "product", tileQ: productTileQ, outputBlocks, epilogue, skipDead, arenaWords },
      workgroup: productWorkgroup,
      workgroupBytes: arenaWords * 4,
      read: [mapOperand(map, product.source, mapWidth), "v", "parameters", ...masks],
      written: ["o"],
      source: op.source,
      halo: NO_REACH,
      grid: machine.mapGrid.rows(["ceilDiv", ["sub", rowEnd(NO_REACH), "row"], productTileQ], pipeline.heads),
    },
  };
}
