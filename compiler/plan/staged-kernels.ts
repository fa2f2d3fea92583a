import {
  type ConvStage,
  convReach,
  type Expression,
  type Finish,
  hasMask,
  isPointwise,
  type KernelProgram,
  type LinearStage,
  type MixStage,
  type Pipeline,
  type Pointwise,
  pointwiseOf,
  type Reach,
  type ScoreStage,
  type SourceLine,
  type StageIndex,
  totalReach,
  type WeightStage,
} from "../../runtime/contract/index.ts";
import { type BoundResource, mapOperand } from "./bindings.ts";
import { MAX_OUTPUT_BLOCKS, planEpilogue } from "./epilogue.ts";
import { doesNotFit, type Fitted } from "./fit.ts";
import { valueBlocks } from "./layout.ts";
import type { PlanRequest } from "./machine.ts";

/** Knobs of the staged schedule. */
export interface StagedKnobs {
  /** Tile of the kernels that write maps. */
  readonly tileQ: number;
  readonly tileK: number;
  /** Rows of a workgroup of the product with V, and its size. */
  readonly productTileQ: number;
  readonly productWorkgroup: number;
  /** Rows of a strip at most. */
  readonly stripRows: number;
  /** Bytes that the two maps of a strip may take together, unless the least strip needs more. */
  readonly stripBytes: number;
  /** False for the unfused baseline only: computes entries that no row sees, over one strip of all rows. */
  readonly skipDead: boolean;
}

/** One kernel of the staged schedule before its plan is written. */
export interface StagedKernel {
  readonly name: string;
  readonly program: KernelProgram;
  readonly workgroup: number;
  readonly workgroupBytes: number;
  readonly read: readonly (string | BoundResource)[];
  readonly written: readonly (string | BoundResource)[];
  readonly source: SourceLine | null;
  /** Rows around the strip that later stages read of its result. */
  readonly halo: Reach;
  readonly grid: readonly [Expression, Expression, Expression];
  readonly usesHistory: boolean;
}

const MIX_WORKGROUP = 64;
/** Rows and blocks of four keys of a mix workgroup. */
export const MIX_TILE = { rows: 8, columnBlocks: 8 } as const;
const NORMALIZE_WORKGROUP = 64;
/** Invocations that share a row of the normalisation: few barriers, and 128 neighbouring bytes a step. */
const NORMALIZE_TEAM = 8;
/** Output heads that one invocation of `mix` accumulates: four registers each. */
const MIX_OUTPUTS = 16;

/** Rows that a kernel writes: the strip's and the halo that later stages read, as far as they exist. */
export function rowBegin(halo: Reach): Expression {
  return ["max", ["sub", 0, "R"], ["sub", "row", halo.past]];
}

export function rowEnd(halo: Reach): Expression {
  return ["min", "Lq", ["add", ["min", "Lq", ["add", "row", "strip"]], halo.future]];
}

function tiles(halo: Reach, tileQ: number, tileK: number): readonly [Expression, Expression] {
  return [
    ["ceilDiv", ["sub", "key_end", "key_begin"], tileK],
    ["ceilDiv", ["sub", rowEnd(halo), rowBegin(halo)], tileQ],
  ];
}

/** A stage that is a kernel of its own, with the pointwise stages that follow it. */
export interface Linear {
  readonly stage: LinearStage;
  readonly index: StageIndex;
  readonly pointwise: Pointwise[];
}

/** The stages that are kernels of their own, with the pointwise stages that follow them, and those that follow the scores. */
export function linearStages(
  stages: readonly (ScoreStage | WeightStage)[],
  section: StageIndex["section"],
): { first: Pointwise[]; linear: Linear[] } {
  const first: Pointwise[] = [];
  const linear: Linear[] = [];
  stages.forEach((stage, index) => {
    if (isPointwise(stage)) (linear.at(-1)?.pointwise ?? first).push(pointwiseOf(stage));
    else linear.push({ stage, index: { section, index }, pointwise: [] });
  });
  return { first, linear };
}

/** The kernels of one strip, in order. Two maps take turns: each stage reads one and writes the other. */
export function stagedKernels(
  pipeline: Pipeline,
  request: PlanRequest,
  knobs: StagedKnobs,
): Fitted<readonly StagedKernel[]> {
  const scores = linearStages(pipeline.scores, "scores");
  const weights = linearStages(pipeline.weights, "weights");
  const all = [...scores.linear, ...weights.linear];
  const haloAfter = (count: number): Reach => totalReach(all.slice(count).map((entry) => entry.stage));
  const kernels: StagedKernel[] = [scoresKernel(pipeline, knobs, scores.first, haloAfter(0))];
  let map: "map_a" | "map_b" = "map_a";
  for (const [position, linear] of all.entries()) {
    if (position === scores.linear.length)
      kernels.push(normalizeKernel(pipeline, knobs, map, haloAfter(position)));
    const next: "map_a" | "map_b" = map === "map_a" ? "map_b" : "map_a";
    const halo = haloAfter(position + 1);
    kernels.push(
      linear.stage.kind === "conv"
        ? convKernel(pipeline, request, knobs, linear.stage, linear, { from: map, to: next, halo })
        : mixKernel(pipeline, knobs, linear.stage, linear, { from: map, to: next, halo }),
    );
    map = next;
  }
  if (weights.linear.length === 0) kernels.push(normalizeKernel(pipeline, knobs, map, haloAfter(all.length)));
  const product = productKernel(pipeline, request, knobs, map);
  if (!product.fits) return product;
  kernels.push(product.value);
  return { fits: true, value: kernels };
}

function zero(pointwise: readonly Pointwise[]): Finish {
  return { pointwise, mask: "zero" };
}

function scoresKernel(
  pipeline: Pipeline,
  knobs: StagedKnobs,
  pointwise: readonly Pointwise[],
  halo: Reach,
): StagedKernel {
  const { tileQ, tileK, skipDead } = knobs;
  return {
    name: "scores",
    program: { kind: "scores", tileQ, tileK, finish: zero(pointwise), skipDead },
    workgroup: (tileQ * tileK) / 16,
    workgroupBytes: 0,
    read: ["q", "q_history", "k", "parameters", "bias"],
    written: [mapOperand("map_a", "result", 4)],
    source: pipeline.source,
    halo,
    grid: [...tiles(halo, tileQ, tileK), ["mul", "batches", pipeline.heads]],
    usesHistory: true,
  };
}

interface Route {
  readonly from: string;
  readonly to: string;
  readonly halo: Reach;
}

function kernelName(stage: LinearStage): string {
  return stage.name.replaceAll(".", "_");
}

function convKernel(
  pipeline: Pipeline,
  request: PlanRequest,
  knobs: StagedKnobs,
  stage: ConvStage,
  linear: Linear,
  route: Route,
): StagedKernel {
  const { tileQ, tileK, skipDead } = knobs;
  const reach = convReach(stage);
  const haloRows = tileQ + reach.past + reach.future;
  const rowStride = tileK + reach.left + reach.right;
  const documentWords = hasMask(pipeline, "documents") ? haloRows : 0;
  const words = haloRows * rowStride;
  const staged = (words + documentWords) * 4 <= request.machine.limits.workgroupBytes;
  return {
    name: kernelName(stage),
    program: {
      kind: "conv",
      stage: linear.index,
      source: staged ? "workgroup" : "storage",
      tileQ,
      tileK,
      haloRows,
      haloColumns: rowStride,
      haloLeft: reach.left,
      rowStride,
      documentRows: documentWords,
      finish: zero(linear.pointwise),
      skipDead,
      arenaWords: staged ? words : 0,
    },
    workgroup: (tileQ * tileK) / 16,
    workgroupBytes: staged ? (words + documentWords) * 4 : 0,
    read: [mapOperand(route.from, "source", 1), "parameters", "bias"],
    written: [mapOperand(route.to, "result", 4)],
    source: stage.source,
    halo: route.halo,
    grid: [...tiles(route.halo, tileQ, tileK), ["mul", "batches", pipeline.heads]],
    usesHistory: false,
  };
}

function mixKernel(
  pipeline: Pipeline,
  knobs: StagedKnobs,
  stage: MixStage,
  linear: Linear,
  route: Route,
): StagedKernel {
  let outputs = Math.min(stage.group, MIX_OUTPUTS);
  while (stage.group % outputs !== 0) outputs -= 1;
  return {
    name: kernelName(stage),
    program: {
      kind: "mix",
      stage: linear.index,
      tileQ: MIX_TILE.rows,
      tileK: MIX_TILE.columnBlocks * 4,
      finish: zero(linear.pointwise),
      outputs,
      skipDead: knobs.skipDead,
    },
    workgroup: MIX_WORKGROUP,
    workgroupBytes: 0,
    read: [mapOperand(route.from, "source", 4), "parameters", "bias"],
    written: [mapOperand(route.to, "result", 4)],
    source: stage.source,
    halo: route.halo,
    grid: [
      ...tiles(route.halo, MIX_TILE.rows, MIX_TILE.columnBlocks * 4),
      ["mul", "batches", pipeline.heads / outputs],
    ],
    usesHistory: false,
  };
}

function normalizeKernel(pipeline: Pipeline, knobs: StagedKnobs, map: string, halo: Reach): StagedKernel {
  const words = pipeline.normalize === "sparsemax" ? 3 * NORMALIZE_WORKGROUP + 1 : 2 * NORMALIZE_WORKGROUP;
  return {
    name: "normalize",
    program: { kind: "normalize", team: NORMALIZE_TEAM, skipDead: knobs.skipDead, arenaWords: words },
    workgroup: NORMALIZE_WORKGROUP,
    workgroupBytes: words * 4,
    read: ["parameters", "bias"],
    written: [mapOperand(map, "map", 4), ...(pipeline.normalize === "softmax" ? ["lse"] : [])],
    source: pipeline.source,
    halo,
    grid: [
      ["ceilDiv", ["sub", rowEnd(halo), rowBegin(halo)], NORMALIZE_WORKGROUP / NORMALIZE_TEAM],
      1,
      ["mul", "batches", pipeline.heads],
    ],
    usesHistory: false,
  };
}

const NO_REACH: Reach = { past: 0, future: 0, left: 0, right: 0 };

function productKernel(
  pipeline: Pipeline,
  request: PlanRequest,
  knobs: StagedKnobs,
  map: string,
): Fitted<StagedKernel> {
  const { productTileQ, productWorkgroup } = knobs;
  const outputBlocks = Math.ceil(((productTileQ / 4) * valueBlocks(pipeline)) / productWorkgroup);
  if (outputBlocks > MAX_OUTPUT_BLOCKS) {
    return doesNotFit(
      `the product keeps ${outputBlocks * 16} results in the registers of an invocation, ${(outputBlocks - MAX_OUTPUT_BLOCKS) * 16} more than fit; a smaller value_dim would fit`,
    );
  }
  const words = Math.floor(request.machine.limits.workgroupBytes / 4);
  const epilogue = planEpilogue(pipeline, productTileQ, productWorkgroup, words);
  if (epilogue === null) {
    return doesNotFit(
      `a row of ${pipeline.valueDim} values does not fit into ${request.machine.limits.workgroupBytes} bytes of workgroup memory`,
    );
  }
  const program: KernelProgram = {
    kind: "product",
    tileQ: productTileQ,
    outputBlocks,
    epilogue: epilogue.epilogue,
    skipDead: knobs.skipDead,
    arenaWords: epilogue.words,
  };
  return {
    fits: true,
    value: {
      name: "product",
      program,
      workgroup: productWorkgroup,
      workgroupBytes: epilogue.words * 4,
      read: [mapOperand(map, "map_of_weights", 4), "v", "parameters"],
      written: ["o"],
      source: pipeline.output[0]?.source ?? pipeline.source,
      halo: NO_REACH,
      grid: [
        ["ceilDiv", ["sub", rowEnd(NO_REACH), "row"], productTileQ],
        1,
        ["mul", "batches", pipeline.heads],
      ],
      usesHistory: false,
    },
  };
}
