import {
  type ConvProgram,
  convReach,
  hasMask,
  type KernelPlan,
  type MixProgram,
  type NormalizeProgram,
  type Plan,
  type ProductProgram,
  type ScoresProgram,
} from "../../../../runtime/contract/index.ts";
import { describe, parameterAt, stageName, stageOf } from "../../model.ts";
import { Constants, convModel, directModel, finishModel } from "./model.ts";
import { outputModel } from "./output.ts";

function tileConstants(tileQ: number, tileK: number): Constants {
  const constants = new Constants();
  constants.int("TILE_Q", tileQ, "Rows and keys of a block's tile.");
  constants.int("TILE_K", tileK);
  return constants;
}

export function scoresModel(plan: Plan, kernel: KernelPlan, program: ScoresProgram) {
  const finish = finishModel(plan.pipeline, "scores", program.finish);
  return {
    ...directModel(plan, kernel, {
      constants: tileConstants(program.tileQ, program.tileK),
      purpose: [
        "Scores of a strip of query rows: map[head][row][key] = scale * q . k where visible, else 0.",
      ],
    }),
    finishes: [finish],
    finish,
  };
}

export function convKernelModel(plan: Plan, kernel: KernelPlan, program: ConvProgram) {
  const stage = stageOf(plan.pipeline, program.stage);
  if (stage.kind !== "conv") throw new RangeError("the plan's convolution kernel names another stage");
  const finish = finishModel(plan.pipeline, stageName(stage), program.finish);
  const reach = convReach(stage);
  const constants = tileConstants(program.tileQ, program.tileK);
  constants.int("REACH_PAST", reach.past, "Rows and keys around the tile that the taps read.");
  constants.int("REACH_FUTURE", reach.future);
  constants.int("REACH_LEFT", reach.left);
  constants.int(
    "HALO_ROWS",
    program.haloRows,
    "Rows and keys of the tile with what is around it; keys left of it, words between two rows.",
  );
  constants.int("HALO_COLUMNS", program.haloColumns);
  constants.int("HALO_LEFT", program.haloLeft);
  constants.int("HALO_STRIDE", program.rowStride);
  if (hasMask(plan.pipeline, "documents")) {
    constants.int("DOCUMENTS_AT", program.arenaWords);
    constants.int(
      "DOCUMENT_ROWS",
      program.documentRows,
      "Rows whose documents are kept: the compiler may read four at a time.",
    );
  }
  const staged = program.source === "workgroup";
  const tile = staged ? { rowStride: "HALO_STRIDE", shift: program.haloLeft - reach.left } : null;
  const conv = convModel(plan, stage, tile, constants);
  return {
    ...directModel(plan, kernel, {
      constants,
      purpose: [`${describe(stage)}, from one map of the strip to the other.`],
    }),
    finishes: [finish],
    finish,
    staged,
    conv,
  };
}

export function mixKernelModel(plan: Plan, kernel: KernelPlan, program: MixProgram) {
  const stage = stageOf(plan.pipeline, program.stage);
  if (stage.kind !== "mix") throw new RangeError("the plan's mix kernel names another stage");
  const finish = finishModel(plan.pipeline, stageName(stage), program.finish);
  const constants = tileConstants(program.tileQ, program.tileK);
  constants.int("GROUP", stage.group, "Heads that are mixed, and those of them that a block writes.");
  constants.int("OUTPUTS", program.outputs);
  return {
    weightAt: constants.int(
      `${stageName(stage).toUpperCase()}_WEIGHT_AT`,
      parameterAt(plan, stage.weight),
      `${stage.weight} in parameters.`,
    ),
    ...directModel(plan, kernel, {
      constants,
      purpose: [`${describe(stage)}, from one map of the strip to the other.`],
    }),
    finishes: [finish],
    finish,
  };
}

export function normalizeModel(plan: Plan, kernel: KernelPlan, program: NormalizeProgram) {
  const sparsemax = plan.pipeline.normalize === "sparsemax";
  const constants = new Constants();
  constants.int("TEAM", program.team, "Neighbouring lanes that share a row.");
  return {
    ...directModel(plan, kernel, {
      constants,
      purpose: [
        sparsemax
          ? "Sparsemax of the strip's rows, in place (Martins and Astudillo 2016)."
          : "Softmax of the strip's rows, in place, and their log-sum-exp.",
      ],
    }),
    sparsemax,
  };
}

export function productModel(plan: Plan, kernel: KernelPlan, program: ProductProgram) {
  const constants = new Constants();
  constants.int("TILE_Q", program.tileQ, "Rows of a block.");
  const epilogue = outputModel(
    plan,
    {
      rows: program.tileQ,
      tileQ: program.tileQ,
      threads: kernel.workgroupSize,
      blocks: program.outputBlocks,
      heads: 1,
      epilogue: program.epilogue,
    },
    constants,
  );
  return {
    ...directModel(plan, kernel, {
      constants,
      purpose: ["The strip's weights times V, and the stages of the output."],
    }),
    epilogue,
  };
}
