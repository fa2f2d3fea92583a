import type {
  KernelPlan,
  Plan,
  TensorCombineProgram,
  TensorFoldProgram,
  TensorMixProgram,
  TensorProductProgram,
  TensorStatisticsProgram,
} from "../../../../runtime/contract/index.ts";
import { describe, linearStage } from "../../model/stages.ts";
import {
  granules,
  keyConstants,
  ofHead,
  outputConstants,
  outputStages,
  packOf,
  pointwiseModels,
  ROW_COMMENT,
  sourceModel,
  tensorModel,
  threadConstants,
  weightConstant,
} from "./model.ts";

/** The model of `templates/cuda/tensor/mix.cu.hbs`. */
export function tensorMixModel(plan: Plan, kernel: KernelPlan, program: TensorMixProgram) {
  const stage = linearStage(plan.pipeline, program.stage, "mix");
  const normalizes = program.softmax !== null;
  const constants = threadConstants(program);
  constants.int("ROWS_PER_WARP", program.rowsPerWarp);
  constants.int("GROUP", stage.group, "Heads that are mixed together.");
  constants.int("INPUT_CHUNKS", program.inputChunks, "Blocks of sixteen heads that sixteen results read.");
  constants.bool("ALL_HEADS", plan.pipeline.heads % 16 === 0, "Whether blocks of sixteen heads are whole.");
  weightConstant(plan, constants, stage);
  const base = tensorModel(plan, kernel, {
    purpose: [
      `${describe(stage)}, on tensor cores${normalizes ? ", and the softmax of every row" : ""}.`,
      "A warp takes one row after the other: sixteen heads by all its keys.",
    ],
    constants,
    blocksPerSm: program.blocksPerSm,
  });
  const pack = packOf(plan, program.stage, normalizes);
  return {
    ...base,
    ...sourceModel(program.source),
    ...mixReferencesModel(program),
    statistics: normalizes,
    folded: program.softmax === "sum",
    // Exponentials are powers of 2.
    factor: program.softmax === "sum" ? "LOG2_E" : "1.0f",
    pointwise: pointwiseModels(program.finish.pointwise),
    hidden: normalizes ? "-INFINITE, LARGEST" : "0.0f, 0.0f",
    pack,
    // The log-sum-exp is as fine as f16: where weights are bf16, their sum is that of others.
    packsF16: pack === "pack_f16",
    severalGroups: stage.group % 16 !== 0,
  };
}

function mixReferencesModel({ references, finish, softmax }: TensorMixProgram) {
  const kept = references !== null;
  const leaves = kept && softmax === null;
  const marked = references?.marked === true;
  // Pointwise stages need the scores as they are, and so does what goes to a map relative to another number than the mix makes.
  const restores = kept && (finish.pointwise.length > 0 || (leaves && marked));
  return {
    references: kept,
    relative: kept && !restores,
    restores,
    leavesReferences: leaves,
    roundsReferences: leaves && marked,
    marksResults: leaves && marked,
    takesHidden: marked && references.apart,
  };
}

/** The model of `templates/cuda/tensor/statistics.cu.hbs`. */
export function tensorStatisticsModel(plan: Plan, kernel: KernelPlan, program: TensorStatisticsProgram) {
  const constants = threadConstants(program);
  constants.int("LANES", program.lanes, "Lanes of a warp that share a row.");
  return tensorModel(plan, kernel, {
    purpose: [
      "What the softmax of each row of a map of final scores keeps, and its log-sum-exp.",
      "A warp takes neighbouring rows of one head.",
    ],
    constants,
    blocksPerSm: null,
  });
}

/** The model of `templates/cuda/tensor/product.cu.hbs`. */
export function tensorProductModel(plan: Plan, kernel: KernelPlan, program: TensorProductProgram) {
  const constants = threadConstants(program);
  constants.int("ROW_BLOCKS", program.rowBlocks, "Blocks of sixteen rows of a warp.");
  constants.int("TILE_Q", program.warps * 16 * program.rowBlocks, "Rows of a block.");
  constants.int("TILE_K", program.tileK, "Keys of a step.");
  constants.int("VALUE_GRANULES", granules(plan.pipeline.valueDim), "Blocks of eight values.");
  constants.int("V_ROW_BYTES", program.rowBytes, ROW_COMMENT);
  constants.int("STAGE_BYTES", "TILE_K * V_ROW_BYTES");
  outputConstants(plan, constants);
  return {
    ...tensorModel(plan, kernel, {
      purpose: ["The strip's weights times the values, and the stages of the output."],
      constants,
      blocksPerSm: program.blocksPerSm,
    }),
    ...sourceModel(program.source),
    divides: program.source === "exponentials",
    // Units of a row that nobody has written have no weight.
    nothing: program.source === "scores" ? "0xfc00fc00u" : "0u",
    output: outputStages(plan),
  };
}

/** The model of `templates/cuda/tensor/combine.cu.hbs`. */
export function tensorCombineModel(plan: Plan, kernel: KernelPlan, program: TensorCombineProgram) {
  const constants = threadConstants(program);
  constants.int("VALUES_PER_LANE", Math.ceil(plan.pipeline.valueDim / 32));
  outputConstants(plan, constants);
  return {
    ...tensorModel(plan, kernel, {
      purpose: [
        "Combines the parts of rows whose keys several blocks have shared, and computes the stages of the output.",
        "A warp takes one row of one head.",
      ],
      constants,
      blocksPerSm: null,
    }),
    output: outputStages(plan),
  };
}

/** The model of `templates/cuda/tensor/fold.cu.hbs`. */
export function tensorFoldModel(plan: Plan, kernel: KernelPlan, program: TensorFoldProgram) {
  const stage = linearStage(plan.pipeline, program.stage, "conv");
  const constants = threadConstants(program);
  constants.int("TILE", program.warps * 16, "Keys that a block convolves: sixteen a warp.");
  constants.int("GRANULES_LEFT", program.granulesLeft, "Blocks of eight keys in reach to the left.");
  constants.int("SOURCE_STEPS", program.sourceSteps, "Blocks of sixteen keys that sixteen results read.");
  constants.int("SOURCE_ROWS", "TILE - 16 + 16 * SOURCE_STEPS", "Keys that a block reads.");
  constants.int("D_GRANULES", granules(plan.pipeline.headDim), "Blocks of eight elements of a key.");
  constants.int("K_ROW_BYTES", program.rowBytes, ROW_COMMENT);
  constants.int("COMMON_KEYS", program.common.keys, "Keys whose mean is taken off all of them.");
  constants.float(
    "COMMON_UNIT",
    String(program.common.unit),
    "That comes in units, and is 0 below the least.",
  );
  constants.float("COMMON_LEAST", String(program.common.least));
  keyConstants(constants, stage);
  weightConstant(plan, constants, stage);
  return {
    ...tensorModel(plan, kernel, {
      purpose: [
        `${describe(stage)}, of the keys instead of the scores:`,
        "one convolved copy of them for each row of the kernel, as products with banded Toeplitz matrices.",
      ],
      constants,
      blocksPerSm: null,
    }),
    conv: { dilatedKey: stage.dilation.key > 1, kernelAt: ofHead("WEIGHT_AT", stage) },
  };
}
