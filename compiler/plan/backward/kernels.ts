import { type Expression, elementCount, type Pipeline, type Plan } from "../../../runtime/contract/index.ts";
import { type BoundResource, mapOperand } from "../bindings.ts";
import { type ConvOp, NO_REACH } from "../graph.ts";
import { ceilTo } from "../layout.ts";
import type { Grid } from "../machine.ts";
import { BLOCK_REGISTERS, NORMALIZE_REGISTERS } from "../schedule/registers.ts";
import {
  convKernel,
  mixKernel,
  normalizeKernel,
  type StagedTask,
  scoresKernel,
} from "../schedule/staged-kernels.ts";
import { rowsOf, type StripKernel } from "../schedule/strips.ts";
import type { BackwardStep } from "./graph.ts";

/** One kernel of a backward pass over a strip, with the multiply-adds that it does for an entry of a map, over all heads. */
export interface BackwardKernel extends StripKernel {
  readonly multiplyAdds: number;
  /** What it leaves to be added up after it: parts, and how many each dispatch makes. */
  readonly sums?: readonly PartialSum[];
}

/** Parts of a parameter's gradient. */
export interface PartialSum {
  readonly parameter: string;
  /** The workspace buffer that holds them, one after the other. */
  readonly buffer: string;
  readonly at: number;
  readonly length: number;
  readonly pieces: Expression;
  /** Bytes of the largest number of parts. */
  readonly bytes: Expression;
}

/** The buffers of a step's maps, by the maps' numbers. */
export type Slots = ReadonlyMap<number, string>;

const WORKGROUP = 64;
/** Keys of a workgroup that sums products over a strip. */
const SUM_KEYS = 256;
/** Taps whose sums an invocation keeps. */
const MOST_TAPS = 16;
/** Rows of o of a workgroup. */
const OUTPUT_ROWS = 16;
const ROWS_AT_ONCE = [8, 4, 2, 1];
const TILE = { tileQ: 32, tileK: 32 };

/** Rows of the strip's maps. */
const MAP_ROWS = "map_rows";

/** Channels of rows that lie in the strip: whole fours. */
export function stripChannels({ valueDim }: Pipeline): number {
  return ceilTo(valueDim, 4);
}

/** A buffer of rows that lie in the strip. */
export function rowsBytes(pipeline: Pipeline): Expression {
  return ["mul", 4 * stripChannels(pipeline), "batch_step", pipeline.heads, MAP_ROWS];
}

const VALUES = mapOperand("values", "values", 4);
const D_VALUES = mapOperand("d_values", "d_values", 4);

function f32(resource: string, variable = resource): BoundResource {
  return mapOperand(resource, variable, 1);
}

/** The kernels of a step. */
export function backwardKernels(
  task: StagedTask,
  step: BackwardStep,
  slots: Slots,
): readonly BackwardKernel[] {
  const { pipeline, machine } = task;
  const { heads } = pipeline;
  const slot = (map: number): string => slots.get(map) ?? "";
  const { mapWidth } = machine.staged;
  const { rows } = step;
  switch (step.kind) {
    case "scores": {
      const { op } = step;
      const kernel = scoresKernel(task, { ...op, halo: rows, pointwise: [] }, TILE, slot(step.to));
      return [{ ...kernel, multiplyAdds: heads * pipeline.headDim }];
    }
    case "conv": {
      const { op } = step;
      const plain = { ...op, halo: rows, pointwise: [] };
      const kernel = convKernel(task, plain, TILE, slot(step.from), slot(step.to));
      return [{ ...kernel, multiplyAdds: heads * tapsOf(op) }];
    }
    case "conv_adjoint": {
      const { op } = step;
      const plain = { ...op, name: `${op.name}_adjoint`, halo: rows, pointwise: [] };
      const kernel = convKernel(task, plain, TILE, slot(step.d), slot(step.to), true);
      return [{ ...kernel, multiplyAdds: heads * tapsOf(op) }];
    }
    case "mix": {
      const { op } = step;
      const plain = { ...op, halo: rows, pointwise: [] };
      const kernel = mixKernel(task, plain, slot(step.from), slot(step.to));
      return [{ ...kernel, multiplyAdds: heads * op.stage.group }];
    }
    case "mix_adjoint": {
      const { op } = step;
      const plain = { ...op, name: `${op.name}_adjoint`, halo: rows, pointwise: [] };
      const kernel = mixKernel(task, plain, slot(step.d), slot(step.to), true);
      return [{ ...kernel, multiplyAdds: heads * op.stage.group }];
    }
    case "normalize": {
      const { program, ...kernel } = normalizeKernel(task, { ...step.op, halo: rows }, slot(step.map));
      if (program.kind !== "normalize") return [];
      const written = [mapOperand(slot(step.map), "map", mapWidth)];
      return [{ ...kernel, written, program: { ...program, keepsLse: false }, multiplyAdds: 8 * heads }];
    }
    case "pointwise":
    case "pointwise_adjoint": {
      const adjoint = step.kind === "pointwise_adjoint";
      const { mixTile } = machine.staged;
      const keys: Expression = ["sub", "key_end", "key_begin"];
      const to = adjoint ? mapOperand(slot(step.d), "d", mapWidth) : mapOperand(slot(step.to), "d", mapWidth);
      return [
        {
          name: `${step.op.name}_${adjoint ? "pointwise_adjoint" : "pointwise"}`,
          source: step.op.source,
          halo: rows,
          program: { kind: "pointwise", stages: step.stages, adjoint, ...mixTile },
          workgroup: (mixTile.tileQ * mixTile.tileK) / 4,
          workgroupBytes: 0,
          registers: NORMALIZE_REGISTERS,
          read: [mapOperand(slot(step.from), "source", mapWidth)],
          written: [to],
          grid: machine.mapGrid.tiles(
            ["ceilDiv", rowsOf(rows), mixTile.tileQ],
            ["ceilDiv", keys, mixTile.tileK],
            heads,
          ),
          multiplyAdds: 8 * heads,
        },
      ];
    }
    case "weights_gradient": {
      const keys: Expression = ["sub", "key_end", "key_begin"];
      return [
        {
          name: "weights_gradient",
          source: pipeline.source,
          halo: rows,
          program: {
            kind: "scores",
            of: "values",
            ...TILE,
            finish: { pointwise: [], mask: "zero" },
            skipDead: true,
          },
          workgroup: (TILE.tileQ * TILE.tileK) / 16,
          workgroupBytes: 0,
          registers: BLOCK_REGISTERS,
          read: [D_VALUES, "v", "integers", "bias"],
          written: [mapOperand(slot(step.d), "result", mapWidth)],
          grid: machine.mapGrid.tiles(
            ["ceilDiv", rowsOf(rows), TILE.tileQ],
            ["ceilDiv", keys, TILE.tileK],
            heads,
          ),
          multiplyAdds: heads * pipeline.valueDim,
        },
      ];
    }
    case "normalize_adjoint": {
      const { workgroup, team } = machine.staged.normalize;
      // Two sums over the row; teams that shuffle need no memory.
      const arenaWords = machine.staged.normalize.words(pipeline) > 0 ? 2 * workgroup : 0;
      return [
        {
          name: "normalize_adjoint",
          source: pipeline.source,
          halo: rows,
          program: { kind: "normalize_adjoint", team, arenaWords },
          workgroup,
          workgroupBytes: 4 * arenaWords,
          registers: NORMALIZE_REGISTERS,
          read: [mapOperand(slot(step.weights), "weights", mapWidth), "integers"],
          written: [mapOperand(slot(step.d), "d", mapWidth)],
          grid: machine.mapGrid.rows(["ceilDiv", rowsOf(rows), workgroup / team], heads),
          multiplyAdds: 4 * heads,
        },
      ];
    }
    case "values":
      return [rowProduct(task, { of: "v", name: "values", map: slot(step.from), rows, written: [VALUES] })];
    case "query_gradient":
      return [
        rowProduct(task, {
          of: "k",
          name: "query_gradient",
          map: slot(step.d),
          rows,
          written: [f32("d_q"), f32("d_q_history")],
        }),
      ];
    case "value_gradient":
      return [keyProduct(task, { of: "v", map: slot(step.from), read: [D_VALUES], written: [f32("d_v")] })];
    case "key_gradient":
      return [
        keyProduct(task, {
          of: "k",
          map: slot(step.d),
          read: ["q", "q_history"],
          written: [f32("d_k")],
        }),
      ];
    case "output_adjoint":
      return [outputAdjoint(task, step)];
    case "conv_gradient":
      return [convGradient(task, step, slot(step.from), slot(step.d))];
    case "mix_gradient":
      return [mixGradient(task, step, slot(step.from), slot(step.d))];
  }
}

function tapsOf({ stage }: ConvOp): number {
  return stage.across * stage.kernel.query * stage.kernel.key;
}

/** Workgroups of one invocation for each four rows (or keys) by four channels. */
function blockGrid(task: StagedTask, count: Expression, channels: number, heads: number): Grid {
  const blocks: Expression = ["mul", ["ceilDiv", count, 4], Math.ceil(channels / 4)];
  return task.machine.mapGrid.rows(["ceilDiv", blocks, WORKGROUP], heads);
}

function rowProduct(
  task: StagedTask,
  {
    of,
    name,
    map,
    rows,
    written,
  }: {
    readonly of: "k" | "v";
    readonly name: string;
    readonly map: string;
    readonly rows: BackwardStep["rows"];
    readonly written: readonly BoundResource[];
  },
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

function keyProduct(
  task: StagedTask,
  {
    of,
    map,
    read,
    written,
  }: {
    readonly of: "k" | "v";
    readonly map: string;
    readonly read: readonly (string | BoundResource)[];
    readonly written: readonly BoundResource[];
  },
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

/** Workgroups along the keys of a strip that each leave sums of their own, and the most that there are. */
const KEY_PARTS: Expression = ["ceilDiv", ["sub", "key_end", "key_begin"], SUM_KEYS];
const MOST_KEY_PARTS: Expression = ["ceilDiv", "map_row_stride", SUM_KEYS];

function placed(pipeline: Pipeline, name: string): Pick<PartialSum, "parameter" | "at" | "length"> {
  let at = 0;
  for (const parameter of pipeline.parameters) {
    const length = elementCount(parameter.shape);
    if (parameter.name === name) return { parameter: name, at, length };
    at += length;
  }
  throw new RangeError(`the pipeline has no parameter "${name}"`);
}

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

function convGradient(
  task: StagedTask,
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

function mixGradient(
  task: StagedTask,
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

function outputAdjoint(
  task: StagedTask,
  { rows }: Extract<BackwardStep, { kind: "output_adjoint" }>,
): BackwardKernel {
  const { pipeline, machine } = task;
  const { heads, valueDim, output } = pipeline;
  const names = new Set(
    output.flatMap((stage) => (stage.kind === "norm" ? [stage.weight] : [stage.weight, stage.bias])),
  );
  const parts = [...names].map((name) => placed(pipeline, name));
  const parameterWords = parts.reduce((sum, { length }) => sum + length, 0);
  const groupsOf = (count: Expression): Expression => ["mul", heads, ["ceilDiv", count, OUTPUT_ROWS]];
  // Of each row what every stage is given, the gradient, a gate's logits; factors of the rows; what invocations sum up.
  const rowWords = (output.length + 2) * valueDim;
  const wordsFor = (count: number): number => count * (rowWords + 1) + WORKGROUP;
  const room = Math.floor(machine.limits.workgroupBytes / 4);
  const rowsAtOnce = ROWS_AT_ONCE.find((count) => wordsFor(count) <= room) ?? 1;
  const arenaWords = output.length === 0 ? 0 : wordsFor(rowsAtOnce);
  const buffer = "parts_output";
  return {
    name: "output_adjoint",
    source: output[0]?.source ?? pipeline.source,
    halo: rows,
    program: { kind: "output_adjoint", rows: OUTPUT_ROWS, rowsAtOnce, parameterWords, arenaWords },
    workgroup: WORKGROUP,
    workgroupBytes: 4 * arenaWords,
    registers: NORMALIZE_REGISTERS,
    read: [
      mapOperand("d_o", "d_o", 1, "storage"),
      ...(output.length === 0 ? [] : [VALUES, "parameters"]),
      "integers",
    ],
    written: [D_VALUES, ...(parameterWords === 0 ? [] : [f32(buffer, "parts")])],
    grid: machine.mapGrid.rows(["ceilDiv", rowsOf(rows), OUTPUT_ROWS], heads),
    multiplyAdds: 0,
    sums:
      parameterWords === 0
        ? []
        : [
            {
              parameter: "output",
              buffer,
              at: Math.min(...parts.map(({ at }) => at)),
              length: parameterWords,
              pieces: ["mul", "batches", groupsOf(rowsOf(rows))],
              bytes: ["mul", 4 * parameterWords, "batch_step", groupsOf(MAP_ROWS)],
            },
          ],
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

/** Makes the gradient of a tensor, or of the parameters, zero. */
export function clearKernel(
  resource: string,
  words: Expression,
): { readonly kernel: BackwardKernel; readonly words: Expression } {
  return {
    words,
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
      grid: [["min", 1024, ["ceilDiv", words, 4 * WORKGROUP]], 1, 1],
      multiplyAdds: 0,
    },
  };
}

/** What is written of a plan's launch block by the names of its dispatch. */
export type Definitions = Plan["definitions"];
