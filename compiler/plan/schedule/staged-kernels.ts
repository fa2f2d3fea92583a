import {
  adjointReach,
  convReach,
  type DropoutProgram,
  type Expression,
  type Finish,
  hasMask,
  type NormalizeProgram,
} from "../../../runtime/contract/index.ts";
import { type BoundResource, mapOperand } from "../bindings.ts";
import { doesNotFit, type Fitted, registerFault, whereFits } from "../fit.ts";
import {
  type ConvOp,
  type DotOp,
  type DropoutOp,
  graphOf,
  type MixOp,
  type NormalizeOp,
  type Op,
} from "../graph.ts";
import { ceilTo, valueBlocks } from "../layout.ts";
import type { GpuTask, Grid, Tile } from "../machine.ts";
import type { MapProgram } from "../scalar-work.ts";
import { planEpilogue } from "./epilogue.ts";
import { BLOCK_REGISTERS, mixRegisters, NORMALIZE_REGISTERS, productRegisters } from "./registers.ts";
import type { RoutedOp } from "./staged-plan.ts";
import { rowEnd, rowsOf, type StripKernel } from "./strips.ts";

/** One kernel over maps on scalar units. */
export type ScalarStripKernel = StripKernel<MapProgram>;

/** What all kernels of a staged plan are made for. */
export interface StagedTask extends GpuTask {
  /** False for the unfused baseline only: computes entries that no row sees. */
  readonly skipDead: boolean;
}

/** Rows of a workgroup of the product with V, and its size. */
export interface ProductKnobs {
  readonly productTileQ: number;
  readonly productWorkgroup: number;
}

/** Output heads that one invocation of a mix accumulates: four registers each. */
const MIX_OUTPUTS = 16;

/** The kernels up to the finished weights. */
export function mapKernels(
  task: StagedTask,
  routes: readonly RoutedOp[],
  tile: Tile,
): readonly ScalarStripKernel[] {
  return routes.flatMap(({ op, from, to }) => {
    switch (op.kind) {
      case "dot":
        return scoresKernel(task, op, tile, to);
      case "conv":
        return convKernel(task, op, tile, from, to);
      case "mix":
        return mixKernel(task, op, from, to);
      case "normalize":
        return normalizeKernel(task, op, to);
      case "dropout":
        return dropoutKernel(task, op, { from, to });
      default:
        return [];
    }
  });
}

/** Tiles over the rows that a kernel writes, the strip's keys, and heads. */
export function tileGrid(
  { machine }: GpuTask,
  { halo }: Pick<Op, "halo">,
  { tileQ, tileK }: Tile,
  heads: Expression,
): Grid {
  const keys: Expression = ["sub", "key_end", "key_begin"];
  return machine.mapGrid.tiles(["ceilDiv", rowsOf(halo), tileQ], ["ceilDiv", keys, tileK], heads);
}

/** What a kernel takes over from the operation that it computes. */
function ofOp({ name, source, halo }: Op): Pick<StripKernel, "name" | "source" | "halo"> {
  return { name, source, halo };
}

function visible(op: { readonly pointwise: Finish["pointwise"] }): Finish {
  return { pointwise: op.pointwise, mask: "zero" };
}

export function scoresKernel(task: StagedTask, op: DotOp, tile: Tile, to: string): ScalarStripKernel {
  const { pipeline, machine, skipDead } = task;
  const { tileQ, tileK } = tile;
  return {
    ...ofOp(op),
    program: { kind: "scores", tileQ, tileK, finish: visible(op), skipDead },
    workgroup: (tileQ * tileK) / 16,
    workgroupBytes: 0,
    registers: BLOCK_REGISTERS,
    read: ["q", "q_history", "k", "integers", "bias"],
    written: [mapOperand(to, "result", machine.staged.mapWidth)],
    grid: tileGrid(task, op, tile, pipeline.heads),
  };
}

/**
 * A convolution, of its tile with its halo in workgroup memory where they fit.
 *
 * @param adjoint Whether gradients pass back through it.
 */
export function convKernel(
  task: StagedTask,
  op: ConvOp,
  tile: Tile,
  from: string,
  to: string,
  adjoint = false,
): ScalarStripKernel {
  const { pipeline, machine, skipDead } = task;
  const { tileQ, tileK } = tile;
  const { carryMultiple, stride } = machine.rows;
  const reach = adjoint ? adjointReach(convReach(op.stage)) : convReach(op.stage);
  const haloRows = tileQ + reach.past + reach.future;
  const haloLeft = ceilTo(reach.left, carryMultiple);
  const haloColumns = haloLeft + tileK + ceilTo(reach.right, carryMultiple);
  const rowStride = stride(haloColumns);
  const documentRows = hasMask(pipeline, "documents") ? ceilTo(haloRows, carryMultiple) : 0;
  const words = haloRows * rowStride;
  const bytes = (words + documentRows) * 4;
  const staged = bytes <= machine.limits.workgroupBytes;
  return {
    ...ofOp(op),
    program: {
      kind: "conv",
      stage: op.index,
      ...(adjoint ? { adjoint } : {}),
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
    registers: BLOCK_REGISTERS,
    read: [mapOperand(from, "source", 1), "parameters", "integers", "bias"],
    written: [mapOperand(to, "result", machine.staged.mapWidth)],
    grid: tileGrid(task, op, tile, pipeline.heads),
  };
}

export function mixKernel(
  task: StagedTask,
  op: MixOp,
  from: string,
  to: string,
  adjoint = false,
): ScalarStripKernel {
  const { pipeline, machine, skipDead } = task;
  const { mixTile, mapWidth } = machine.staged;
  let outputs = Math.min(op.stage.group, MIX_OUTPUTS);
  while (op.stage.group % outputs !== 0) outputs -= 1;
  return {
    ...ofOp(op),
    program: {
      kind: "mix",
      stage: op.index,
      ...(adjoint ? { adjoint } : {}),
      ...mixTile,
      finish: visible(op),
      outputs,
      skipDead,
    },
    workgroup: (mixTile.tileQ * mixTile.tileK) / 4,
    workgroupBytes: 0,
    registers: mixRegisters(outputs),
    read: [mapOperand(from, "source", mapWidth), "parameters", "integers", "bias"],
    written: [mapOperand(to, "result", mapWidth)],
    grid: tileGrid(task, op, mixTile, pipeline.heads / outputs),
  };
}

/** A dropout of a map, in place where it goes to where it comes from. */
export function dropoutKernel(
  task: StagedTask,
  op: DropoutOp,
  { from, to, adjoint = false }: { readonly from: string; readonly to: string; readonly adjoint?: boolean },
): StripKernel<DropoutProgram> {
  const { mixTile, mapWidth } = task.machine.staged;
  const { tileQ, tileK } = mixTile;
  const map = (resource: string, variable: string): BoundResource => mapOperand(resource, variable, mapWidth);
  const inPlace = from === to;
  const index = task.pipeline.weights.indexOf(op.stage);
  return {
    ...ofOp(op),
    program: { kind: "dropout", stage: { section: "weights", index }, adjoint, inPlace, ...mixTile },
    workgroup: (tileQ * tileK) / 4,
    workgroupBytes: 0,
    registers: NORMALIZE_REGISTERS,
    read: [...(inPlace ? [] : [map(from, "source")]), "integers", ...task.machine.naming.seed],
    written: [map(to, inPlace ? "map" : "result")],
    grid: tileGrid(task, op, mixTile, task.pipeline.heads),
  };
}

export function normalizeKernel(
  task: StagedTask,
  op: NormalizeOp,
  map: string,
): StripKernel<NormalizeProgram> {
  const { pipeline, machine, skipDead } = task;
  const { mapWidth, normalize } = machine.staged;
  const { workgroup, team } = normalize;
  const arenaWords = normalize.words(pipeline);
  return {
    ...ofOp(op),
    program: { kind: "normalize", team, skipDead, arenaWords },
    workgroup,
    workgroupBytes: arenaWords * 4,
    registers: normalize.registers,
    read: ["integers", "bias"],
    written: [mapOperand(map, "map", mapWidth), ...(pipeline.normalize === "softmax" ? ["lse"] : [])],
    grid: machine.mapGrid.rows(["ceilDiv", rowsOf(op.halo), workgroup / team], pipeline.heads),
  };
}

/** The product with V and the stages on the output, or the limit that it breaks and by how much. */
export function productKernel(
  task: StagedTask,
  routes: readonly RoutedOp[],
  { productTileQ: tileQ, productWorkgroup: workgroup }: ProductKnobs,
): Fitted<ScalarStripKernel> {
  const { pipeline, machine, skipDead } = task;
  const op = graphOf(pipeline).product;
  const map = routes.at(-1)?.from ?? "";
  const { mapWidth, product } = machine.staged;
  const outputBlocks = Math.ceil(((tileQ / 4) * valueBlocks(pipeline)) / workgroup);
  const registers = productRegisters(outputBlocks);
  const fault = registerFault(machine, { blocks: outputBlocks, words: registers });
  if (fault !== null) return doesNotFit(`the product ${fault}; a smaller value_dim would fit`);
  const room = Math.min(product.epilogueWords, Math.floor(machine.limits.workgroupBytes / 4));
  return whereFits(planEpilogue(task, tileQ, workgroup, room), ({ epilogue, words }) => {
    const arenaWords = Math.max(words, product.masks ? tileQ : 0);
    const masks = product.masks ? ["integers", "bias"] : [];
    return {
      ...ofOp(op),
      program: { kind: "product", tileQ, outputBlocks, epilogue, skipDead, arenaWords },
      workgroup,
      workgroupBytes: arenaWords * 4,
      registers,
      read: [mapOperand(map, product.source, mapWidth), "v", "parameters", ...masks],
      written: ["o"],
      grid: machine.mapGrid.rows(["ceilDiv", ["sub", rowEnd(op.halo), "row"], tileQ], pipeline.heads),
    };
  });
}
