import type { Expression, Pipeline } from "../../../runtime/contract/index.ts";
import { mapOperand } from "../bindings.ts";
import { type ConvOp, NO_REACH } from "../graph.ts";
import type { Launch } from "../schedule/passes.ts";
import { BLOCK_REGISTERS, NORMALIZE_REGISTERS } from "../schedule/registers.ts";
import { tileGrid } from "../schedule/staged-kernels.ts";
import type { BackwardStep } from "./graph.ts";
import { type BackwardKernel, type BackwardTask, f32, type PartialSum, placed, WORKGROUP } from "./kernel.ts";

/** Keys of a workgroup that sums products over a strip. */
export const SUM_KEYS = 256;
/** Taps whose sums an invocation keeps. */
const MOST_TAPS = 16;

/** Multiply-adds that a convolution takes for an entry of one head. */
export function tapsOf({ stage }: ConvOp): number {
  return stage.across * stage.kernel.query * stage.kernel.key;
}

/** Workgroups along the keys of a strip that each leave sums of their own, and the most that there are. */
export const KEY_PARTS: Expression = ["ceilDiv", ["sub", "key_end", "key_begin"], SUM_KEYS];
const MOST_KEY_PARTS: Expression = ["ceilDiv", "map_row_stride", SUM_KEYS];

function partial(
  pipeline: Pipeline,
  name: string,
  buffer: string,
  parts: { readonly now: Expression; readonly most: Expression },
): PartialSum {
  const own = placed(pipeline, name);
  return {
    ...own,
    buffer,
    pieces: ["mul", "batches", parts.now],
    bytes: ["mul", 4 * own.length, "batch_step", parts.most],
  };
}

/** The gradient of a kernel and its bias, in parts. */
export function convGradient(
  task: BackwardTask,
  { op, rows }: Extract<BackwardStep, { kind: "conv_gradient" }>,
  from: string,
  d: string,
): BackwardKernel {
  const { pipeline, machine } = task;
  const { heads } = pipeline;
  const { kernel, across, shared, weight, bias } = op.stage;
  const chunks = Math.ceil(kernel.key / MOST_TAPS);
  const taps = Math.ceil(kernel.key / chunks);
  // Each head has its part of a kernel that all groups share.
  const groups = shared ? heads / across : 1;
  const parts = (most: Expression): Expression => (groups === 1 ? most : ["mul", groups, most]);
  const each = { now: parts(KEY_PARTS), most: parts(MOST_KEY_PARTS) };
  const buffer = `parts_${op.name}`;
  const sums = [
    partial(pipeline, weight, buffer, each),
    ...(bias === null ? [] : [partial(pipeline, bias, `${buffer}_bias`, each)]),
  ];
  const kernelRows = kernel.query * chunks + (bias === null ? 0 : 1);
  const arenaWords = WORKGROUP * taps;
  return {
    name: `${op.name}_gradient`,
    source: op.source,
    halo: rows,
    program: { kind: "conv_gradient", stage: op.index, taps, chunks, tileK: SUM_KEYS, arenaWords },
    workgroup: WORKGROUP,
    workgroupBytes: 4 * arenaWords,
    registers: BLOCK_REGISTERS,
    read: [mapOperand(from, "source", 1), mapOperand(d, "d", machine.staged.mapWidth), "integers"],
    written: [f32(buffer, "parts"), ...(bias === null ? [] : [f32(`${buffer}_bias`, "bias_parts")])],
    grid: machine.mapGrid.tiles(kernelRows * across, KEY_PARTS, heads),
    multiplyAdds: heads * tapsOf(op),
    sums,
  };
}

/** The gradient of the weights of a mix, in parts. */
export function mixGradient(
  task: BackwardTask,
  { op, rows }: Extract<BackwardStep, { kind: "mix_gradient" }>,
  from: string,
  d: string,
): BackwardKernel {
  const { pipeline, machine } = task;
  const { heads } = pipeline;
  const { group, weight } = op.stage;
  const { mapWidth } = machine.staged;
  const blocks = Math.ceil(group / 4) ** 2;
  const buffer = `parts_${op.name}`;
  const arenaWords = WORKGROUP * 16;
  return {
    name: `${op.name}_gradient`,
    source: op.source,
    halo: rows,
    program: { kind: "mix_gradient", stage: op.index, tileK: SUM_KEYS, arenaWords },
    workgroup: WORKGROUP,
    workgroupBytes: 4 * arenaWords,
    registers: BLOCK_REGISTERS,
    read: [mapOperand(from, "source", mapWidth), mapOperand(d, "d", mapWidth), "integers"],
    written: [f32(buffer, "parts")],
    grid: machine.mapGrid.tiles(blocks, KEY_PARTS, heads / group),
    multiplyAdds: heads * group,
    sums: [partial(pipeline, weight, buffer, { now: KEY_PARTS, most: MOST_KEY_PARTS })],
  };
}

/** Rows and keys of a workgroup that adds to the gradient of the bias. */
const BIAS_TILE = { tileQ: 8, tileK: 32 } as const;

/** What the strip's rows have of the gradient of the bias, summed up over the heads and the batch entries that share an entry. */
export function biasGradient(
  task: BackwardTask,
  { rows }: Extract<BackwardStep, { kind: "bias_gradient" }>,
  d: string,
): BackwardKernel {
  const { pipeline, machine } = task;
  const { tileQ, tileK } = BIAS_TILE;
  return {
    name: "bias_gradient",
    source: pipeline.source,
    halo: rows,
    program: { kind: "bias_gradient", ...BIAS_TILE },
    workgroup: (tileQ * tileK) / 4,
    workgroupBytes: 0,
    registers: NORMALIZE_REGISTERS,
    read: [mapOperand(d, "d", machine.staged.mapWidth)],
    written: [f32("d_bias")],
    // No heads, and so no workgroups, where nobody asks for it.
    grid: tileGrid(task, { halo: rows }, BIAS_TILE, "d_bias_heads"),
    multiplyAdds: pipeline.heads,
  };
}

/** Adds a kernel's parts to the gradients of a parameter. */
export function sumKernel(
  { parameter, buffer, at, length }: PartialSum,
  source: BackwardKernel["source"],
): BackwardKernel {
  return {
    name: `${parameter.replaceAll(".", "_")}_sum`,
    source,
    halo: NO_REACH,
    program: { kind: "sum", at, length },
    workgroup: WORKGROUP,
    workgroupBytes: 0,
    registers: NORMALIZE_REGISTERS,
    read: [f32(buffer, "parts")],
    written: [f32("d_parameters")],
    grid: [Math.ceil(length / WORKGROUP), 1, 1],
    multiplyAdds: 0,
  };
}

/** A kernel that makes a buffer zero, and what of the buffer a dispatch says: 32 bits do not hold the words of a large tensor. */
export interface Clearing {
  readonly kernel: BackwardKernel;
  readonly launch: Launch;
}

/** Makes the gradient of a tensor, or of the parameters, zero: rows of so many words each. */
export function clearKernel(resource: string, rows: Expression, words: Expression): Clearing {
  return {
    launch: { parts: rows, count: words },
    kernel: {
      name: `clear_${resource}`,
      source: null,
      halo: NO_REACH,
      program: { kind: "clear" },
      workgroup: WORKGROUP,
      workgroupBytes: 0,
      registers: NORMALIZE_REGISTERS,
      read: [],
      written: [f32(resource, "result")],
      grid: [["min", 1024, ["ceilDiv", ["mul", rows, words], 16 * WORKGROUP]], 1, 1],
      multiplyAdds: 0,
    },
  };
}
