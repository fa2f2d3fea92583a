import {
  type ConvStage,
  convReach,
  type Expression,
  hasMask,
  type MixStage,
  type Pipeline,
  type Pointwise,
  type Reach,
  totalReach,
} from "../../../runtime/contract/index.ts";
import { mapOperand } from "../bindings.ts";
import { planEpilogue } from "../epilogue.ts";
import { doesNotFit, type Fitted } from "../fit.ts";
import { ceilTo, valueBlocks } from "../layout.ts";
import type { PlanRequest } from "../machine.ts";
import { type Linear, linearStages, rowBegin, rowEnd } from "../staged-kernels.ts";
import type { MapKernel } from "./cost.ts";
import type { DirectKernel } from "./define.ts";
import { ALIGNED_ROWS } from "./fused.ts";
import { MAP_KERNEL_REGISTERS, MOST_REGISTERS, mixRegisters, productRegisters } from "./registers.ts";

/** Knobs of the staged schedule. */
export interface DirectStagedKnobs {
  /** Tile of the kernels that write maps, four rows by four keys a thread. */
  readonly tileQ: number;
  readonly tileK: number;
  /** Rows of a block of the product with V, and its threads. */
  readonly productTileQ: number;
  readonly productThreads: number;
  /** Rows of a strip at most, and bytes of its two maps. */
  readonly stripRows: number;
  readonly stripBytes: number;
}

/** One kernel of a strip before its plan is written. */
export interface StripKernel extends DirectKernel, MapKernel {
  readonly grid: readonly [Expression, Expression, Expression];
}

/** Rows and keys of a block of a mix: four keys of one row a thread. */
const DIRECT_MIX_TILE = { rows: 8, keys: 64 } as const;
/** Output heads that one thread of a mix accumulates. */
const MIX_OUTPUTS = 16;
const NORMALIZE_THREADS = 256;
/** A warp a row. */
const NORMALIZE_TEAM = 32;
/** Words of shared memory for the output's stages: more rows at a time need no fewer barriers. */
const EPILOGUE_WORDS = 8192;

/** The kernels of one strip, in order. Two maps take turns: each stage reads one and writes the other. */
export function directStagedKernels(
  pipeline: Pipeline,
  request: PlanRequest,
  knobs: DirectStagedKnobs,
): Fitted<readonly StripKernel[]> {
  const scores = linearStages(pipeline.scores, "scores");
  const weights = linearStages(pipeline.weights, "weights");
  const all = [...scores.linear, ...weights.linear];
  const haloAfter = (count: number): Reach => totalReach(all.slice(count).map((entry) => entry.stage));
  const kernels: StripKernel[] = [scoresKernel(pipeline, knobs, scores.first, haloAfter(0))];
  let map: "map_a" | "map_b" = "map_a";
  for (const [position, linear] of all.entries()) {
    if (position === scores.linear.length) kernels.push(normalizeKernel(pipeline, map, haloAfter(position)));
    const next: "map_a" | "map_b" = map === "map_a" ? "map_b" : "map_a";
    const route: Route = { from: map, to: next, halo: haloAfter(position + 1) };
    kernels.push(
      linear.stage.kind === "conv"
        ? convKernel(pipeline, request, knobs, linear.stage, linear, route)
        : mixKernel(pipeline, linear.stage, linear, route),
    );
    map = next;
  }
  if (weights.linear.length === 0) kernels.push(normalizeKernel(pipeline, map, haloAfter(all.length)));
  const product = productKernel(pipeline, request, knobs, map);
  if (!product.fits) return product;
  return { fits: true, value: [...kernels, product.value] };
}

interface Route {
  readonly from: string;
  readonly to: string;
  readonly halo: Reach;
}

/** Tiles over the strip's rows and keys, heads, batch entries. */
function mapGrid(pipeline: Pipeline, halo: Reach, tileQ: number, tileK: number): StripKernel["grid"] {
  const rows: Expression = ["sub", rowEnd(halo), rowBegin(halo)];
  const keys: Expression = ["sub", "key_end", "key_begin"];
  return [["mul", ["ceilDiv", rows, tileQ], ["ceilDiv", keys, tileK]], pipeline.heads, "batches"];
}

function scoresKernel(
  pipeline: Pipeline,
  { tileQ, tileK }: DirectStagedKnobs,
  pointwise: readonly Pointwise[],
  halo: Reach,
): StripKernel {
  return {
    name: "scores",
    program: { kind: "scores", tileQ, tileK, finish: { pointwise, mask: "zero" }, skipDead: true },
    threads: (tileQ * tileK) / 16,
    sharedBytes: 0,
    registers: MAP_KERNEL_REGISTERS.scores,
    read: ["q", "q_history", "k", "integers", "bias"],
    written: [mapOperand("map_a", "result", 1)],
    source: pipeline.source,
    halo,
    grid: mapGrid(pipeline, halo, tileQ, tileK),
  };
}

/** Documents kept for the rows of a tile: whole vectors, since nvcc reads neighbouring ones together. */
function documentRows(haloRows: number): number {
  return ceilTo(haloRows, 4);
}

function convKernel(
  pipeline: Pipeline,
  request: PlanRequest,
  { tileQ, tileK }: DirectStagedKnobs,
  stage: ConvStage,
  linear: Linear,
  route: Route,
): StripKernel {
  const reach = convReach(stage);
  const haloRows = tileQ + reach.past + reach.future;
  const haloLeft = ceilTo(reach.left, 4);
  const haloColumns = haloLeft + tileK + ceilTo(reach.right, 4);
  const rowStride = ALIGNED_ROWS.stride(haloColumns);
  const documentWords = hasMask(pipeline, "documents") ? documentRows(haloRows) : 0;
  const words = haloRows * rowStride;
  const staged = (words + documentWords) * 4 <= request.machine.limits.workgroupBytes;
  return {
    name: stage.name.replaceAll(".", "_"),
    program: {
      kind: "conv",
      stage: linear.index,
      source: staged ? "workgroup" : "storage",
      tileQ,
      tileK,
      haloRows,
      haloColumns,
      haloLeft,
      rowStride,
      documentRows: documentWords,
      finish: { pointwise: linear.pointwise, mask: "zero" },
      skipDead: true,
      arenaWords: staged ? words : 0,
    },
    threads: (tileQ * tileK) / 16,
    sharedBytes: staged ? (words + documentWords) * 4 : 0,
    registers: MAP_KERNEL_REGISTERS.conv,
    read: [mapOperand(route.from, "source", 1), "parameters", "integers", "bias"],
    written: [mapOperand(route.to, "result", 1)],
    source: stage.source,
    halo: route.halo,
    grid: mapGrid(pipeline, route.halo, tileQ, tileK),
  };
}

function mixKernel(pipeline: Pipeline, stage: MixStage, linear: Linear, route: Route): StripKernel {
  let outputs = Math.min(stage.group, MIX_OUTPUTS);
  while (stage.group % outputs !== 0) outputs -= 1;
  const { rows, keys } = DIRECT_MIX_TILE;
  const [tiles] = mapGrid(pipeline, route.halo, rows, keys);
  return {
    name: stage.name.replaceAll(".", "_"),
    program: {
      kind: "mix",
      stage: linear.index,
      tileQ: rows,
      tileK: keys,
      finish: { pointwise: linear.pointwise, mask: "zero" },
      outputs,
      skipDead: true,
    },
    threads: (rows * keys) / 4,
    sharedBytes: 0,
    registers: mixRegisters(outputs),
    read: [mapOperand(route.from, "source", 1), "parameters", "integers", "bias"],
    written: [mapOperand(route.to, "result", 1)],
    source: stage.source,
    halo: route.halo,
    grid: [tiles, pipeline.heads / outputs, "batches"],
  };
}

function normalizeKernel(pipeline: Pipeline, map: string, halo: Reach): StripKernel {
  return {
    name: "normalize",
    program: { kind: "normalize", team: NORMALIZE_TEAM, skipDead: true, arenaWords: 0 },
    threads: NORMALIZE_THREADS,
    sharedBytes: 0,
    registers: MAP_KERNEL_REGISTERS.normalize,
    read: ["integers", "bias"],
    written: [mapOperand(map, "map", 1), ...(pipeline.normalize === "softmax" ? ["lse"] : [])],
    source: pipeline.source,
    halo,
    grid: [
      ["ceilDiv", ["sub", rowEnd(halo), rowBegin(halo)], NORMALIZE_THREADS / NORMALIZE_TEAM],
      pipeline.heads,
      "batches",
    ],
  };
}

const NO_REACH: Reach = { past: 0, future: 0, left: 0, right: 0 };

function productKernel(
  pipeline: Pipeline,
  request: PlanRequest,
  { productTileQ, productThreads }: DirectStagedKnobs,
  map: string,
): Fitted<StripKernel> {
  const outputBlocks = Math.ceil(((productTileQ / 4) * valueBlocks(pipeline)) / productThreads);
  const registers = productRegisters(outputBlocks);
  if (registers > MOST_REGISTERS)
    return doesNotFit(
      `the product keeps about ${registers} words in the registers of a thread, of ${MOST_REGISTERS}; a smaller value_dim would fit`,
    );
  const words = Math.min(EPILOGUE_WORDS, Math.floor(request.machine.limits.workgroupBytes / 4));
  const epilogue = planEpilogue(pipeline, productTileQ, productThreads, words);
  if (epilogue === null) return doesNotFit(`a row of ${pipeline.valueDim} values does not fit shared memory`);
  // A word a row at least, for those that NaN has reached.
  const arenaWords = Math.max(epilogue.words, productTileQ);
  return {
    fits: true,
    value: {
      name: "product",
      program: {
        kind: "product",
        tileQ: productTileQ,
        outputBlocks,
        epilogue: epilogue.epilogue,
        skipDead: true,
        arenaWords,
      },
      threads: productThreads,
      sharedBytes: arenaWords * 4,
      registers,
      read: [mapOperand(map, "weights", 1), "v", "parameters", "integers", "bias"],
      written: ["o"],
      source: pipeline.output[0]?.source ?? pipeline.source,
      halo: NO_REACH,
      grid: [["ceilDiv", ["sub", rowEnd(NO_REACH), "row"], productTileQ], pipeline.heads, "batches"],
    },
  };
}
