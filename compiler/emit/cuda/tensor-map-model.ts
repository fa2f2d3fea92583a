import type {
  KernelPlan,
  Plan,
  TensorCombineProgram,
  TensorFoldProgram,
  TensorMixProgram,
  TensorProductProgram,
  TensorStatisticsProgram,
} from "../../../runtime/contract/index.ts";
import { inputChunks, MIX_ROW_BYTES, MIX_ROWS_PER_WARP, MIX_STEP } from "../../plan/tensor/map-kernels.ts";
import { paddedRow } from "../../plan/tensor/tile.ts";
import { maskModel } from "../model/source.ts";
import { describe, linearStage, parameterAt } from "../model/stages.ts";
import { pointwiseModel } from "../pointwise.ts";
import { cudaFloat } from "./source-model.ts";
import {
  Constants,
  convOf,
  kernelIndex,
  MAP_ALIGNMENT,
  outputConstants,
  outputStages,
  packOf,
  readAhead,
  tensorParameters,
} from "./tensor-model.ts";

/** The model of `templates/cuda/tensor/mix.cu.hbs`. */
export function tensorMixModel(plan: Plan, kernel: KernelPlan, program: TensorMixProgram) {
  const stage = linearStage(plan.pipeline, program.stage, "mix");
  const mask = maskModel(plan.pipeline);
  const chunks = inputChunks(plan.pipeline.heads, stage.group);
  const constants = new Constants();
  constants.int("WARPS", program.warps);
  constants.int("THREADS", program.warps * 32);
  constants.int("ROWS_PER_WARP", MIX_ROWS_PER_WARP);
  constants.int("GROUP", stage.group, "Heads that are mixed together.");
  constants.int("INPUT_CHUNKS", chunks, "Blocks of sixteen input heads that sixteen output heads read.");
  constants.list.push({
    type: "bool",
    name: "ALL_HEADS",
    value: String(plan.pipeline.heads % 16 === 0),
    comment: "Whether blocks of sixteen heads are all there.",
  });
  constants.int("STEP", MIX_STEP, "Keys of a step.");
  constants.int(
    "ROW_BYTES",
    MIX_ROW_BYTES,
    "A head's keys in shared memory: an odd number of 16-byte units.",
  );
  constants.int("BUFFER_BYTES", chunks * 16 * MIX_ROW_BYTES);
  constants.int("MAP_ALIGNMENT", MAP_ALIGNMENT, "Elements to which the maps' rows are padded.");
  constants.int(
    "READ_AHEAD",
    readAhead(plan.pipeline),
    "Rows by which tiles of later stages reach beyond one.",
  );
  constants.int("WEIGHT_AT", parameterAt(plan, stage.weight), `${stage.weight} in parameters.`);
  const final = program.normalizes;
  return {
    kernel: kernel.name,
    entryPoint: kernel.entryPoint,
    purpose: [
      `${describe(stage)}, on tensor cores${program.normalizes ? ", and the softmax of every row" : ""}. A warp takes one row: sixteen heads by all its keys.`,
    ],
    parameters: tensorParameters(kernel),
    constants: constants.list,
    mask,
    fromWeights: program.source === "weights",
    statistics: program.normalizes,
    pointwise: program.finish.pointwise.map((each) => pointwiseModel(each, cudaFloat)),
    addsBias: final && mask.bias,
    hidden: final ? "-INFINITE" : "0.0f",
    // The weights of hidden keys are 0.
    clear: "0u",
    pack: packOf(plan, program.stage, program.normalizes),
    severalGroups: stage.group % 16 !== 0,
    // Left alone, ptxas may prefer spills to registers.
    blocksPerSm: 2,
  };
}

/** The model of `templates/cuda/tensor/statistics.cu.hbs`. */
export function tensorStatisticsModel(plan: Plan, kernel: KernelPlan, program: TensorStatisticsProgram) {
  const constants = new Constants();
  constants.int("WARPS", program.warps);
  constants.int("THREADS", program.warps * 32);
  return {
    kernel: kernel.name,
    entryPoint: kernel.entryPoint,
    parameters: tensorParameters(kernel),
    constants: constants.list,
    mask: maskModel(plan.pipeline),
  };
}

/** The model of `templates/cuda/tensor/product.cu.hbs`. */
export function tensorProductModel(plan: Plan, kernel: KernelPlan, program: TensorProductProgram) {
  const { valueDim } = plan.pipeline;
  const tileQ = program.warps * 16 * program.rowBlocks;
  const constants = new Constants();
  constants.int("THREADS", program.warps * 32);
  constants.int("ROW_BLOCKS", program.rowBlocks, "Blocks of sixteen rows of a warp.");
  constants.int("TILE_Q", tileQ, "Rows of a block, and keys of a step.");
  constants.int("TILE_K", program.tileK);
  constants.int("VALUE_GRANULES", Math.ceil(valueDim / 16) * 2, "Blocks of eight values.");
  constants.int("V_CHUNKS", Math.ceil(valueDim / 16) * 2, "16-byte units of a row of values.");
  constants.int(
    "A_ROW_BYTES",
    paddedRow(program.tileK),
    "Rows in shared memory: an odd number of 16-byte units, against bank conflicts.",
  );
  constants.int("V_ROW_BYTES", paddedRow(valueDim));
  constants.int(
    "STAGE_BYTES",
    tileQ * paddedRow(program.tileK) + program.tileK * paddedRow(valueDim),
    "One of the two stages of copies: a tile of weights, then one of values.",
  );
  outputConstants(plan, constants);
  return {
    kernel: kernel.name,
    entryPoint: kernel.entryPoint,
    purpose: ["The strip's weights times the values, and the stages of the output."],
    parameters: tensorParameters(kernel),
    constants: constants.list,
    mask: maskModel(plan.pipeline),
    fromWeights: program.source === "weights",
    blocksPerSm: program.blocksPerSm,
    output: outputStages(plan),
  };
}

/** The model of `templates/cuda/tensor/combine.cu.hbs`. */
export function tensorCombineModel(plan: Plan, kernel: KernelPlan, program: TensorCombineProgram) {
  const constants = new Constants();
  constants.int("WARPS", program.warps);
  constants.int("THREADS", program.warps * 32);
  constants.int("VALUES_PER_LANE", Math.ceil(plan.pipeline.valueDim / 32));
  outputConstants(plan, constants);
  return {
    kernel: kernel.name,
    entryPoint: kernel.entryPoint,
    parameters: tensorParameters(kernel),
    constants: constants.list,
    mask: maskModel(plan.pipeline),
    output: outputStages(plan),
  };
}

/** The model of `templates/cuda/tensor/fold.cu.hbs`. */
export function tensorFoldModel(plan: Plan, kernel: KernelPlan, program: TensorFoldProgram) {
  const { pipeline } = plan;
  const stage = convOf(pipeline, program.stage);
  const tile = program.warps * 16;
  const constants = new Constants();
  constants.int("THREADS", program.warps * 32);
  constants.int("TILE", tile, "Keys that a block convolves: sixteen a warp.");
  constants.int("GRANULES_LEFT", program.granulesLeft, "Blocks of eight keys in reach to the left.");
  constants.int(
    "SOURCE_STEPS",
    program.sourceSteps,
    "Blocks of sixteen keys that sixteen results are made of.",
  );
  constants.int("SOURCE_ROWS", tile - 16 + 16 * program.sourceSteps);
  constants.int("D_GRANULES", Math.ceil(pipeline.headDim / 16) * 2, "Blocks of eight elements of a key.");
  constants.int(
    "K_ROW_BYTES",
    paddedRow(pipeline.headDim),
    "Rows in shared memory: an odd number of 16-byte units, against bank conflicts.",
  );
  constants.int("KERNEL_QUERY", stage.kernel.query, describe(stage));
  constants.int("KERNEL_KEY", stage.kernel.key);
  constants.int("ORIGIN_KEY", stage.origin.key, "The tap that meets the current key.");
  constants.int("DILATION_KEY", stage.dilation.key);
  constants.int("WEIGHT_AT", parameterAt(plan, stage.weight), `${stage.weight} in parameters.`);
  return {
    kernel: kernel.name,
    entryPoint: kernel.entryPoint,
    purpose: [
      `${describe(stage)}, of the keys instead of the scores:`,
      "one convolved copy of them for each row of the kernel, as products with banded Toeplitz matrices.",
    ],
    parameters: tensorParameters(kernel),
    constants: constants.list,
    mask: maskModel(pipeline),
    conv: { dilatedKey: stage.dilation.key > 1 },
    kernelIndex: kernelIndex(stage),
  };
}
