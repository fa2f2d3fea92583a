import {
  type ConvStage,
  convReach,
  type KernelPlan,
  type Pipeline,
  type Plan,
  type Pointwise,
  type StageIndex,
  type TensorTileProgram,
  totalReach,
} from "../../../runtime/contract/index.ts";
import { INNER_STEP, innerMargin, sourcesEndWithKeys } from "../../plan/tensor/support.ts";
import { paddedRow } from "../../plan/tensor/tile.ts";
import { maskModel } from "../model/source.ts";
import { describe, linearStage, parameterAt, stageLabel } from "../model/stages.ts";
import { type PointwiseModel, pointwiseModel } from "../pointwise.ts";
import { type CudaConstant, cudaFloat, cudaParameters, type KernelParameter } from "./source-model.ts";

/** C++ parameters of a tensor-core kernel: tensors, maps and folded keys are 16 bits wide. */
export function tensorParameters(kernel: KernelPlan): KernelParameter[] {
  return cudaParameters(kernel, "unsigned short");
}

/** Collects a kernel's constants. */
export class Constants {
  readonly list: CudaConstant[] = [];

  int(name: string, value: number, comment?: string): void {
    this.list.push({
      type: "int",
      name,
      value: String(value),
      ...(comment === undefined ? {} : { comment }),
    });
  }
}

export function convOf(pipeline: Pipeline, index: StageIndex): ConvStage {
  return linearStage(pipeline, index, "conv");
}

/** The model of `templates/cuda/tensor/tile.cu.hbs`. */
export function tensorTileModel(plan: Plan, kernel: KernelPlan, program: TensorTileProgram) {
  const { pipeline } = plan;
  const { source, sink, rowBlocks, warps, tileK, haloPast, haloFuture, places } = program;
  const stage = program.conv === null ? null : convOf(pipeline, program.conv.stage);
  const mask = maskModel(pipeline);
  const tileQ = warps * 16 * rowBlocks;
  const scoresRow = tileK * 2 + 16;
  const keyRow = paddedRow(pipeline.headDim);
  const valueRow = paddedRow(pipeline.valueDim);
  const reach = stage === null ? { past: 0, future: 0, left: 0, right: 0 } : convReach(stage);
  const granulesRight = program.conv?.granulesRight ?? 0;
  const distances = (program.conv?.granulesLeft ?? 0) + granulesRight + 1;
  const dot = source === "dot";
  const applies = sink === "product";
  const attention = sink === "attention" || applies;
  const conv = program.conv;
  const folded = program.folded === null ? null : convOf(pipeline, program.folded);
  const part = program.keys !== "all";

  const constants = new Constants();
  constants.int("WARPS", warps);
  constants.int("THREADS", warps * 32);
  constants.int("ROW_BLOCKS", rowBlocks, "Blocks of sixteen rows of a warp.");
  constants.int("TILE_Q", tileQ, "Rows of a block, and keys of a step.");
  constants.int("TILE_K", tileK);
  constants.int(
    "GRANULES",
    tileK / 8,
    "Blocks of eight keys of a step; those that later steps finish; the last ones.",
  );
  constants.int("CARRIED", distances - 1);
  if (granulesRight > 0) constants.int("TAIL", granulesRight);
  if (granulesRight > 0 && sink !== "map") constants.int("TAIL_PAIRS", Math.ceil(granulesRight / 2) * 2);
  constants.int("LAG", granulesRight * 8, "Keys by which results trail the scores that they are made of.");
  if (!dot)
    constants.int("REACH_PAST", reach.past, "Rows and keys around an entry that the convolution reads.");
  if (!dot) constants.int("REACH_FUTURE", reach.future);
  constants.int("REACH_LEFT", reach.left);
  const endsWithKeys = sourcesEndWithKeys(pipeline, reach);
  constants.int("REACH_RIGHT", reach.right);
  if (dot) {
    constants.int("D_STEPS", Math.ceil(pipeline.headDim / 16), "Steps of sixteen along head_dim.");
    constants.int("COLUMNS", program.columns, "Keys whose scores are made at a time.");
    constants.int("Q_CHUNKS", Math.ceil(pipeline.headDim / 16) * 2, "16-byte units of a query row.");
    constants.int(
      "Q_ROW_BYTES",
      keyRow,
      "Rows in shared memory: an odd number of 16-byte units, against bank conflicts.",
    );
    constants.int("K_ROW_BYTES", keyRow);
    constants.int("K_AT", places.k, "Bytes of shared memory where things lie.");
    constants.int("Q_AT", places.q);
    if (haloPast + haloFuture > 0) constants.int("HALO_AT", places.halo);
    else constants.int("HALO_AT", 0);
  }
  if (dot || stage !== null) {
    constants.int(
      "HALO_PAST",
      haloPast,
      `Rows around the tile that the convolution reads${folded === null ? ", in blocks of eight" : ""}.`,
    );
    constants.int("HALO_FUTURE", haloFuture);
    constants.int("HALO_ROWS", haloPast + haloFuture);
  }
  if (attention) {
    constants.int("VALUE_GRANULES", Math.ceil(pipeline.valueDim / 16) * 2, "Blocks of eight values.");
    constants.int("V_ROW_BYTES", valueRow);
    constants.int("V_AT", places.v);
    constants.int("V_TILE_BYTES", tileK * valueRow);
  }
  if (attention) outputConstants(plan, constants);
  if (folded !== null) foldedConstants(plan, constants, folded);
  const convolution = folded ?? stage;
  if (part && convolution !== null) {
    constants.int(
      "INNER_MARGIN",
      innerMargin(convolution),
      "Rows and keys by which inner keys stay clear of the diagonal; they come in whole steps.",
    );
    constants.int("INNER_STEP", INNER_STEP);
  }
  if (stage !== null && conv !== null) {
    constants.int("S_ROW_BYTES", scoresRow);
    constants.int("S_AT", places.scores);
    if (conv.precision === "exact")
      constants.int(
        "S_REST",
        (tileQ + haloPast + haloFuture) * scoresRow,
        "Bytes from a score, rounded to f16, to what the rounding leaves over.",
      );
    if (!dot) constants.int("S_ROWS", tileQ + haloPast + haloFuture);
    constants.int("KERNEL_QUERY", stage.kernel.query, describe(stage));
    constants.int("KERNEL_KEY", stage.kernel.key);
    constants.int("ORIGIN_QUERY", stage.origin.query, "The tap that meets the current row and key.");
    constants.int("ORIGIN_KEY", stage.origin.key);
    constants.int("DILATION_QUERY", stage.dilation.query);
    constants.int("DILATION_KEY", stage.dilation.key);
    constants.int(
      "GRANULES_RIGHT",
      granulesRight,
      "Blocks of eight keys in reach to the right; all blocks in reach.",
    );
    constants.int("DISTANCES", distances);
    constants.int("TAP_PAIRS", Math.ceil(stage.kernel.query / 2));
    constants.int("WEIGHT_AT", parameterAt(plan, stage.weight), `${stage.weight} in parameters.`);
    biasConstant(plan, constants, stage);
    if (conv.taps === "shared") constants.int("TAPS_AT", places.taps);
  }
  if (sink === "map") {
    constants.int(
      "CHUNK",
      program.chunk,
      "Keys of the map that a block writes; what its rows are padded to.",
    );
    constants.int("MAP_ALIGNMENT", MAP_ALIGNMENT);
    constants.int("READ_AHEAD", readAhead(pipeline), "Rows by which tiles of later stages reach beyond one.");
  }
  // Raw products are left unscaled where the exponent takes the scale in: a positive one, which keeps their order.
  const scaled =
    dot &&
    (pipeline.scale < 0 ||
      (stage !== null && !applies) ||
      program.before.pointwise.length + program.finish.pointwise.length > 0 ||
      (folded !== null && folded.bias !== null) ||
      mask.bias ||
      sink === "map");
  if (sink !== "map") {
    constants.list.push({
      type: "float",
      name: "EXPONENT",
      value: scaled ? "LOG2_E" : "SCALE * LOG2_E",
      comment: "Weights are 2^(score * EXPONENT - maximum).",
    });
  }
  const final = program.finish.mask !== "zero";
  const addsBias = final && mask.bias;
  const pointwise = (list: readonly Pointwise[]): PointwiseModel[] =>
    list.map((each) => pointwiseModel(each, cudaFloat));
  const pointwiseAfter = pointwise(program.finish.pointwise);
  return {
    kernel: kernel.name,
    entryPoint: kernel.entryPoint,
    purpose: purposeOf(program, stage, folded),
    parameters: tensorParameters(kernel),
    constants: constants.list,
    mask,
    dot,
    fromMap: !dot,
    fromWeights: source === "weights",
    attention,
    statistics: sink === "statistics",
    applies,
    exact: conv?.precision === "exact",
    split: program.splits,
    part,
    inner: program.keys === "inner",
    folded: folded !== null,
    foldedRows: folded !== null && folded.kernel.query > 1,
    bounded: program.splits || sink === "map",
    // Blocks that end before the tile's last key still read to its right.
    reachesRight: (program.splits || sink === "map") && reach.right > 0,
    softmax: sink === "attention" || sink === "statistics",
    toMap: sink === "map",
    finalMap: sink === "map" && final,
    loadsRows: dot,
    halo: folded === null && haloPast + haloFuture > 0,
    madeRange: dot && stage !== null,
    queriesInRegisters: program.queriesInRegisters,
    scaled,
    pointwiseBefore: pointwise(program.before.pointwise),
    pointwiseAfter,
    finishes: pointwiseAfter.length > 0 || (convolution !== null && convolution.bias !== null),
    biasIndex: convolution === null || convolution.bias === null ? null : kernelIndex(convolution),
    addsBias,
    hidden: !final ? "0.0f" : sink === "map" ? "-INFINITE" : "HIDDEN",
    hiddenBefore: applies ? "-INFINITE" : "0.0f",
    biasBefore: applies && mask.bias,
    clear: sink === "map" && final ? "0xfc00fc00u" : "0u",
    tail: granulesRight > 0,
    sourcesEndWithKeys: endsWithKeys,
    pack: packOf(plan, program.conv?.stage ?? null),
    blocksPerSm: program.blocksPerSm,
    conv: stage === null ? null : convModel(program, stage),
    output: attention ? outputStages(plan) : [],
  };
}

/** Rows between a row and the farthest one of a later stage's tile that reads it. */
export function readAhead(pipeline: Pipeline): number {
  const { past, future, left, right } = totalReach([...pipeline.scores, ...pipeline.weights]);
  return 128 + Math.ceil(Math.max(past, future, left, right) / 8) * 8;
}

/** Elements to which a map's rows are padded. */
export const MAP_ALIGNMENT = 64;

/** A head's place among the kernels of a convolution within heads, and among its biases. */
export function kernelIndex(stage: ConvStage): string {
  return stage.shared ? `head % ${stage.across}` : "head";
}

function biasConstant(plan: Plan, constants: Constants, stage: ConvStage): void {
  if (stage.bias !== null) constants.int("BIAS_AT", parameterAt(plan, stage.bias));
}

/** The rows of a kernel whose keys are folded: one copy of the keys each. */
function foldedConstants(plan: Plan, constants: Constants, stage: ConvStage): void {
  constants.int("KERNEL_QUERY", stage.kernel.query, describe(stage));
  if (stage.kernel.query > 1) {
    constants.int("ORIGIN_QUERY", stage.origin.query, "The tap that meets the current row.");
    constants.int("DILATION_QUERY", stage.dilation.query);
  }
  biasConstant(plan, constants, stage);
}

function convModel(program: TensorTileProgram, stage: ConvStage) {
  return {
    registers: program.conv?.taps === "registers",
    odd: stage.kernel.query % 2 === 1,
    single: stage.kernel.query === 1,
    dilatedKey: stage.dilation.key > 1,
    kernelIndex: kernelIndex(stage),
  };
}

function purposeOf(program: TensorTileProgram, stage: ConvStage | null, folded: ConvStage | null): string[] {
  if (folded !== null) {
    return [
      `Queries times keys that hold ${describe(folded)} already, on tensor cores, online softmax, times values${program.keys === "all" ? "." : ":"}`,
      ...(program.keys === "all"
        ? []
        : ["the keys that all rows of the tile see, and around them all that the taps read."]),
    ];
  }
  const conv = stage === null ? "" : `, ${describe(stage)} as products with banded Toeplitz matrices`;
  const from = {
    dot: "Queries times keys on tensor cores",
    map: "A map of the strip",
    weights: "The softmax's weights, from the map of final scores",
  }[program.source];
  const to = {
    attention: "online softmax, times values",
    statistics: "the log-sum-exp of every row",
    product: "normalised with the rows' log-sum-exp before the convolution, times values",
    map: "to the strip's other map",
  }[program.sink];
  const keys =
    program.keys === "border" ? " The keys near the diagonal, which convolved keys cannot do." : "";
  return conv === "" ? [`${from}, ${to}.`] : [`${from}, then`, `${conv.slice(2)},`, `${to}.${keys}`];
}

/**
 * How a stage's map is packed: in the storage type where the product with the values reads it, else in f16, which is finer
 * than bf16 and wide enough.
 */
export function packOf(
  plan: Plan,
  index: StageIndex | null,
  normalizes = false,
): "pack_f16" | "pack_storage" {
  const { weights } = plan.pipeline;
  if (normalizes && weights.length === 0) return "pack_storage";
  return index?.section === "weights" && index.index === weights.length - 1 ? "pack_storage" : "pack_f16";
}

/** Places of the output stages' parameters, as constants. */
export function outputConstants(plan: Plan, constants: Constants): void {
  for (const stage of plan.pipeline.output) {
    constants.int(placeName(stage.weight), parameterAt(plan, stage.weight), `${stage.weight} in parameters.`);
    if (stage.kind === "gate") constants.int(placeName(stage.bias), parameterAt(plan, stage.bias));
  }
}

function placeName(parameter: string): string {
  return `${parameter.replaceAll(".", "_").toUpperCase()}_AT`;
}

/** The output's stages, as the epilogue's partial wants them. */
export function outputStages(plan: Plan) {
  return plan.pipeline.output.map((stage) => {
    const comment = stageLabel(stage);
    const weightAt = placeName(stage.weight);
    if (stage.kind === "norm")
      return { comment, weightAt, isNorm: true, eps: cudaFloat(stage.eps), depthScale: stage.depthScale };
    const biasAt = placeName(stage.bias);
    return stage.mode === "scalar"
      ? { comment, weightAt, biasAt, isScalarGate: true }
      : { comment, weightAt, biasAt, isChannelGate: true };
  });
}
