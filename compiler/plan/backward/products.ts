import type { Expression } from "../../../runtime/contract/index.ts";
import { type BoundResource, mapOperand } from "../bindings.ts";
import { NO_REACH } from "../graph.ts";
import type { GpuTask, Grid } from "../machine.ts";
import { BLOCK_REGISTERS } from "../schedule/registers.ts";
import { scoresKernel, tileGrid } from "../schedule/staged-kernels.ts";
import { rowsOf } from "../schedule/strips.ts";
import type { BackwardStep } from "./graph.ts";
import {
  type BackwardKernel,
  type BackwardTask,
  D_VALUES,
  type Largest,
  NO_LARGEST,
  WORKGROUP,
} from "./kernel.ts";
import { type ConvStep, conv, type MixStep, mix } from "./maps.ts";
import { convGradient, mixGradient } from "./sums.ts";

/** A map's product with keys or values, row by row. */
interface RowProductRequest {
  readonly of: "k" | "v";
  readonly name: string;
  readonly map: string;
  /** The number of a map of gradients. */
  readonly d?: number;
  readonly rows: BackwardStep["rows"];
  readonly written: readonly BoundResource[];
}

/** A map's columns times rows. */
interface KeyProductRequest {
  readonly of: "k" | "v";
  readonly map: string;
  /** The number of a map of gradients. */
  readonly d?: number;
  readonly read: readonly (string | BoundResource)[];
  readonly written: readonly BoundResource[];
}

type ScoresStep = Extract<BackwardStep, { kind: "scores" }>;
type ConvGradientStep = Extract<BackwardStep, { kind: "conv_gradient" }>;
type MixGradientStep = Extract<BackwardStep, { kind: "mix_gradient" }>;
type WeightsGradientStep = Extract<BackwardStep, { kind: "weights_gradient" }>;

/** How the products of a backward pass are computed: what differs from one kind of units to another. */
export interface Products {
  scores(task: BackwardTask, step: ScoresStep, to: string): BackwardKernel;
  weightsGradient(task: BackwardTask, step: WeightsGradientStep, d: string): BackwardKernel;
  rowProduct(task: BackwardTask, asked: RowProductRequest): BackwardKernel;
  keyProduct(task: BackwardTask, asked: KeyProductRequest): BackwardKernel;
  conv(task: BackwardTask, step: ConvStep, from: string, to: string): BackwardKernel;
  convGradient(task: BackwardTask, step: ConvGradientStep, from: string, d: string): BackwardKernel;
  mix(task: BackwardTask, step: MixStep, from: string, to: string): BackwardKernel;
  mixGradient(task: BackwardTask, step: MixGradientStep, from: string, d: string): BackwardKernel;
  /** What has to be known of gradients before they are multiplied. */
  largest(task: GpuTask, steps: readonly BackwardStep[]): Largest;
  /** A step's kernel that makes that known, or has one after it do so. */
  recorded(
    task: BackwardTask,
    step: BackwardStep,
    kernel: BackwardKernel,
    map: string,
  ): readonly BackwardKernel[];
}

/** Workgroups of one invocation for each four rows (or keys) by four channels. */
function blockGrid(task: BackwardTask, count: Expression, channels: number, heads: number): Grid {
  const blocks: Expression = ["mul", ["ceilDiv", count, 4], Math.ceil(channels / 4)];
  return task.machine.mapGrid.rows(["ceilDiv", blocks, WORKGROUP], heads);
}

/** Rows of a map times keys or values. */
export function rowProduct(
  task: BackwardTask,
  { of, name, map, rows, written }: RowProductRequest,
): BackwardKernel {
  const { pipeline, machine } = task;
  const { heads, headDim, valueDim } = pipeline;
  const channels = of === "k" ? headDim : valueDim;
  return {
    name,
    source: pipeline.source,
    halo: rows,
    program: { kind: "row_product", of },
    workgroup: WORKGROUP,
    workgroupBytes: 0,
    registers: BLOCK_REGISTERS,
    read: [mapOperand(map, "map", machine.staged.mapWidth), of, "integers"],
    written,
    grid: blockGrid(task, rowsOf(rows), channels, heads),
    multiplyAdds: heads * channels,
  };
}

/** Columns of a map times rows: what a strip adds to the gradient of keys or values. */
export function keyProduct(
  task: BackwardTask,
  { of, map, read, written }: KeyProductRequest,
): BackwardKernel {
  const { pipeline, machine } = task;
  const { heads, kvHeads, headDim, valueDim } = pipeline;
  const channels = of === "k" ? headDim : valueDim;
  return {
    name: of === "k" ? "key_gradient" : "value_gradient",
    source: pipeline.source,
    halo: NO_REACH,
    program: { kind: "key_product", of },
    workgroup: WORKGROUP,
    workgroupBytes: 0,
    registers: BLOCK_REGISTERS,
    read: [mapOperand(map, "map", machine.staged.mapWidth), ...read, "integers"],
    written,
    grid: blockGrid(task, ["sub", "key_end", "key_begin"], channels, kvHeads),
    multiplyAdds: heads * channels,
  };
}

/** The gradient of the weights: that of their result times the values. */
export function weightsGradient(
  task: BackwardTask,
  { rows }: WeightsGradientStep,
  d: string,
): BackwardKernel {
  const { pipeline, machine, tile } = task;
  const { heads, valueDim } = pipeline;
  return {
    name: "weights_gradient",
    source: pipeline.source,
    halo: rows,
    program: {
      kind: "scores",
      of: "values",
      ...tile,
      finish: { pointwise: [], mask: "zero" },
      skipDead: true,
    },
    workgroup: (tile.tileQ * tile.tileK) / 16,
    workgroupBytes: 0,
    registers: BLOCK_REGISTERS,
    read: [D_VALUES, "v", "integers", "bias"],
    written: [mapOperand(d, "result", machine.staged.mapWidth)],
    grid: tileGrid(task, { halo: rows }, tile, heads),
    multiplyAdds: heads * valueDim,
  };
}

/** Scores of a strip, as a forward pass has them; pointwise stages are steps of their own. */
export function scores(task: BackwardTask, { op, rows }: ScoresStep, to: string): BackwardKernel {
  const { heads, headDim } = task.pipeline;
  const kernel = scoresKernel(task, { ...op, halo: rows, pointwise: [] }, task.tile, to);
  return { ...kernel, multiplyAdds: heads * headDim };
}

/** Products on scalar units: exact in f32. */
export const SCALAR_PRODUCTS: Products = {
  scores,
  weightsGradient,
  rowProduct,
  keyProduct,
  conv,
  convGradient,
  mix,
  mixGradient,
  largest: () => NO_LARGEST,
  recorded: (_task, _step, kernel) => [kernel],
};
