import {
  type ConvProgram,
  convReach,
  type KernelPlan,
  type MixProgram,
  type NormalizeProgram,
  type Plan,
  type ProductProgram,
  type ScoresProgram,
} from "../../runtime/contract/index.ts";
import { headDim } from "./fused-model.ts";
import {
  ConstantTable,
  commonModel,
  convModel,
  describe,
  finishModel,
  mixOutputs,
  parameterAt,
  stageName,
  stageOf,
  u32,
} from "./model.ts";
import { loadValue, outputModel } from "./output-model.ts";
import { tensorModel } from "./tensor-rows.ts";

const FOUR_ROWS = ["", " + line", " + 2u * line", " + 3u * line"].map((step, index) => ({ index, step }));

function tileConstants(tileQ: number, tileK: number): ConstantTable {
  const table = new ConstantTable();
  table.i32("TILE_Q", tileQ, "Rows and keys of a workgroup's tile.");
  table.i32("TILE_K", tileK);
  return table;
}

export function scoresModel(plan: Plan, kernel: KernelPlan, program: ScoresProgram) {
  const { pipeline } = plan;
  const finish = finishModel(pipeline, "finish_scores", program.finish);
  const table = tileConstants(program.tileQ, program.tileK);
  const dimensions = headDim(pipeline.headDim, table);
  return {
    ...commonModel(plan, kernel, {
      skipDead: program.skipDead,
      constants: table.list,
      purpose: [
        "Scores of a strip of query rows: map[head][row][key] = scale * q . k where visible, else 0.",
      ],
    }),
    packs: false,
    finishes: [finish],
    finish,
    tensors: {
      q: tensorModel("q", pipeline.headDim, plan.alignment.q, plan.storage),
      q_history: tensorModel("q_history", pipeline.headDim, plan.alignment.q, plan.storage),
      k: tensorModel("k", pipeline.headDim, plan.alignment.k, plan.storage),
    },
    ...dimensions,
    columnBlocks: u32(program.tileK / 4),
    fourRows: FOUR_ROWS,
  };
}

export function convKernelModel(plan: Plan, kernel: KernelPlan, program: ConvProgram) {
  const stage = stageOf(plan.pipeline, program.stage);
  if (stage.kind !== "conv") throw new RangeError("the plan's convolution kernel names another stage");
  const finish = finishModel(plan.pipeline, `finish_${stageName(stage)}`, program.finish);
  const reach = convReach(stage);
  const table = tileConstants(program.tileQ, program.tileK);
  const haloRows = table.u32(
    "HALO_ROWS",
    program.haloRows,
    "Rows and columns of the tile with what the taps read around it.",
  );
  const haloColumns = table.u32("HALO_COLUMNS", program.rowStride);
  const conv = convModel(plan, stage, haloColumns, table);
  const common = commonModel(plan, kernel, {
    skipDead: program.skipDead,
    constants: table.list,
    purpose: [`${describe(stage)}, from one map of the strip to the other.`],
  });
  return {
    ...common,
    finishes: [finish],
    finish,
    staged: program.source === "workgroup",
    arenaWords: u32(program.arenaWords),
    fours: stage.dilation.key !== 1,
    puts: false,
    conv,
    past: reach.past === 0 ? "0u" : u32(reach.past),
    left: String(reach.left),
    pastRows: String(reach.past),
    haloRows,
    haloColumns,
    haloEntries: `${haloRows} * ${haloColumns}`,
    rowStride: haloColumns,
    columnBlocks: u32(program.tileK / 4),
    fourRows: FOUR_ROWS,
  };
}

export function mixKernelModel(plan: Plan, kernel: KernelPlan, program: MixProgram) {
  const stage = stageOf(plan.pipeline, program.stage);
  if (stage.kind !== "mix") throw new RangeError("the plan's mix kernel names another stage");
  const finish = finishModel(plan.pipeline, `finish_${stageName(stage)}`, program.finish);
  const table = new ConstantTable();
  const weightAt = table.u32(
    `${stageName(stage).toUpperCase()}_WEIGHT_AT`,
    parameterAt(plan, stage.weight),
    `${stage.weight} in parameters.`,
  );
  const group = table.u32("GROUP", stage.group, "Heads that are mixed.");
  return {
    ...commonModel(plan, kernel, {
      skipDead: program.skipDead,
      constants: table.list,
      purpose: [`${describe(stage)}, from one map of the strip to the other.`],
    }),
    finishes: [finish],
    finish,
    chunks: u32(plan.pipeline.heads / program.outputs),
    outputCount: u32(program.outputs),
    outputs: mixOutputs(program.outputs, stage.group),
    group,
    weightAt,
    tileRows: u32(program.tileQ),
    columnBlocks: u32(program.tileK / 4),
  };
}

export function normalizeModel(plan: Plan, kernel: KernelPlan, program: NormalizeProgram) {
  const sparsemax = plan.pipeline.normalize === "sparsemax";
  return {
    ...commonModel(plan, kernel, {
      skipDead: program.skipDead,
      constants: [{ name: "TEAM", value: u32(program.team), comment: "Invocations that share a row." }],
      purpose: [
        sparsemax
          ? "Sparsemax of the strip's rows, in place (Martins and Astudillo 2016)."
          : "Softmax of the strip's rows, in place, and their log-sum-exp.",
      ],
    }),
    sparsemax,
    rows: u32(kernel.workgroupSize / program.team),
    arenaWords: u32(program.arenaWords),
    fours: false,
    puts: false,
  };
}

export function productModel(plan: Plan, kernel: KernelPlan, program: ProductProgram) {
  const { pipeline } = plan;
  const table = new ConstantTable();
  table.i32("TILE_Q", program.tileQ, "Rows of a workgroup.");
  const output = outputModel(
    plan,
    {
      rows: program.tileQ,
      tileQ: program.tileQ,
      workgroup: kernel.workgroupSize,
      blocks: program.outputBlocks,
      epilogue: program.epilogue,
    },
    table,
  );
  const common = commonModel(plan, kernel, {
    skipDead: program.skipDead,
    constants: table.list,
    purpose: ["The strip's weights times V, and the stages of the output."],
  });
  const load = (lane: string): string =>
    loadValue(pipeline.valueDim, "value", `v_at + u32(keys.${lane}) * launch.v_stride_l`);
  return {
    ...common,
    ...output,
    arenaWords: program.arenaWords === 0 ? null : u32(program.arenaWords),
    fours: true,
    puts: true,
    splitValue: pipeline.valueDim % 4 !== 0 && pipeline.valueDim > 4,
    loadValue0: load("x"),
    loadValue1: load("y"),
    loadValue2: load("z"),
    loadValue3: load("w"),
  };
}
