import { mapOperand } from "../bindings.ts";
import type { DropoutOp } from "../graph.ts";
import { NORMALIZE_REGISTERS } from "../schedule/registers.ts";
import {
  convKernel,
  dropoutKernel,
  mixKernel,
  normalizeKernel,
  tileGrid,
} from "../schedule/staged-kernels.ts";
import { rowsOf } from "../schedule/strips.ts";
import type { BackwardStep } from "./graph.ts";
import type { BackwardKernel, BackwardTask } from "./kernel.ts";
import { tapsOf } from "./sums.ts";

/** A mix of heads, or what passes back through it. */
export type MixStep = Extract<BackwardStep, { kind: "mix" | "mix_adjoint" }>;

/** A convolution, or what passes back through it. */
export type ConvStep = Extract<BackwardStep, { kind: "conv" | "conv_adjoint" }>;

/** Its kernel, as a forward pass has it: for what passes back the taps stand the other way round. */
export function conv(task: BackwardTask, step: ConvStep, from: string, to: string): BackwardKernel {
  const adjoint = step.kind === "conv_adjoint";
  const name = adjoint ? `${step.op.name}_adjoint` : step.op.name;
  const op = { ...step.op, name, halo: step.rows, pointwise: [] };
  const kernel = convKernel(task, op, task.tile, from, to, adjoint);
  return { ...kernel, multiplyAdds: task.pipeline.heads * tapsOf(op) };
}

/** Its kernel, as a forward pass has it; pointwise stages are steps of their own. */
export function mix(task: BackwardTask, step: MixStep, from: string, to: string): BackwardKernel {
  const adjoint = step.kind === "mix_adjoint";
  const name = adjoint ? `${step.op.name}_adjoint` : step.op.name;
  const op = { ...step.op, name, halo: step.rows, pointwise: [] };
  const kernel = mixKernel(task, op, from, to, adjoint);
  return { ...kernel, multiplyAdds: task.pipeline.heads * op.stage.group };
}

/** The normaliser of rows, in place. */
export function normalized(
  task: BackwardTask,
  { op, rows }: Extract<BackwardStep, { kind: "normalize" }>,
  map: string,
): BackwardKernel {
  const { pipeline, machine } = task;
  const { program, ...kernel } = normalizeKernel(task, { ...op, halo: rows }, map);
  const written = [mapOperand(map, "map", machine.staged.mapWidth)];
  return { ...kernel, written, program: { ...program, keepsLse: false }, multiplyAdds: 8 * pipeline.heads };
}

/** Pointwise stages as a kernel of their own, or what passes back through them: in place. */
export function pointwiseKernel(
  task: BackwardTask,
  step: Extract<BackwardStep, { kind: "pointwise" | "pointwise_adjoint" }>,
  slot: (map: number) => string,
): BackwardKernel {
  const { mixTile, mapWidth } = task.machine.staged;
  const { heads } = task.pipeline;
  const adjoint = step.kind === "pointwise_adjoint";
  const changed = step.kind === "pointwise_adjoint" ? step.d : step.to;
  return {
    name: `${step.op.name}_${step.kind}`,
    source: step.op.source,
    halo: step.rows,
    program: { kind: "pointwise", stages: step.stages, adjoint, ...mixTile },
    workgroup: (mixTile.tileQ * mixTile.tileK) / 4,
    workgroupBytes: 0,
    registers: NORMALIZE_REGISTERS,
    read: [mapOperand(slot(step.from), "source", mapWidth)],
    written: [mapOperand(slot(changed), "d", mapWidth)],
    grid: tileGrid(task, { halo: step.rows }, mixTile, heads),
    multiplyAdds: 8 * heads,
  };
}

/** A dropout, or what passes back through it. */
export function dropped(
  task: BackwardTask,
  op: DropoutOp,
  halo: BackwardStep["rows"],
  how: Parameters<typeof dropoutKernel>[2],
): BackwardKernel {
  const name = how.adjoint === true ? `${op.name}_adjoint` : op.name;
  return { ...dropoutKernel(task, { ...op, name, halo }, how), multiplyAdds: 40 * task.pipeline.heads };
}

/** What passes back through softmax or sparsemax. */
export function normalizeAdjoint(
  { pipeline, machine }: BackwardTask,
  { rows }: Extract<BackwardStep, { kind: "normalize_adjoint" }>,
  weights: string,
  d: string,
): BackwardKernel {
  const { normalize, mapWidth } = machine.staged;
  const { workgroup, team } = normalize;
  // Two sums over the row; teams that shuffle need no memory.
  const arenaWords = normalize.words(pipeline) > 0 ? 2 * workgroup : 0;
  return {
    name: "normalize_adjoint",
    source: pipeline.source,
    halo: rows,
    program: { kind: "normalize_adjoint", team, arenaWords },
    workgroup,
    workgroupBytes: 4 * arenaWords,
    registers: NORMALIZE_REGISTERS,
    read: [mapOperand(weights, "weights", mapWidth), "integers"],
    written: [mapOperand(d, "d", mapWidth)],
    grid: machine.mapGrid.rows(["ceilDiv", rowsOf(rows), workgroup / team], pipeline.heads),
    multiplyAdds: 4 * pipeline.heads,
  };
}
