import type { ChainStep, FusedProgram, KernelPlan, Plan, Region } from "../../runtime/contract/index.ts";
import {
  ConstantTable,
  commonModel,
  convModel,
  describe,
  type FinishModel,
  finishModel,
  mixOutputs,
  parameterAt,
  stageName,
  stageOf,
  u32,
} from "./model.ts";
import { loadValue, outputModel } from "./output-model.ts";
import { tensorModel } from "./tensor-rows.ts";

const PURPOSE = {
  single_pass: [
    "Attention in one pass over the keys with an online softmax (Milakov and Gimelshein 2018; FlashAttention).",
    "Workgroup memory holds the scores of one tile with the halo that the convolutions read.",
  ],
  statistics: ["Pass 1 of 2: the maximum and the sum of every row's softmax, online over the keys."],
  apply: [
    "Pass 2 of 2: the scores again, normalised with the rows' maxima and sums, through the stages after the softmax, times V.",
  ],
} as const;

function regionModel(region: Region, heads: number, table: ConstantTable) {
  const name = region.name.toUpperCase();
  const what =
    region.name === "raw" ? "Scores of the tile with their halo" : `Map ${region.name.replaceAll("_", " ")}`;
  return {
    at: table.u32(
      `${name}_AT`,
      region.offset,
      `${what}: first word in the arena, columns kept from the step before, strides.`,
    ),
    rows: u32(region.rows),
    rowCount: region.rows,
    minusAbove: region.above === 0 ? "" : ` - ${region.above}`,
    carry: table.u32(`${name}_CARRY`, region.carry),
    rowStride: rowStrideName(region, table),
    headStride: table.u32(`${name}_HEAD_STRIDE`, region.headStride),
    lag: region.lag,
    lines: u32(heads * region.rows),
  };
}

function rowStrideName(region: Region, table: ConstantTable): string {
  return table.u32(`${region.name.toUpperCase()}_ROW_STRIDE`, region.rowStride);
}

/** The model of a fused kernel's template. */
export function fusedModel(plan: Plan, kernel: KernelPlan, program: FusedProgram) {
  const { pipeline } = plan;
  const regionAt = (index: number): Region => {
    const region = program.regions[index];
    if (region === undefined) throw new RangeError(`the program has no region ${index}`);
    return region;
  };
  const raw = regionAt(0);
  const final = regionAt(program.final);
  const finishes: FinishModel[] = program.chain.map((step) =>
    finishModel(pipeline, `finish_${stepName(plan, step)}`, step.finish),
  );
  const table = new ConstantTable();
  table.u32("HEAD_BLOCK", program.headBlock, "Heads that a workgroup computes together.");
  table.i32("TILE_Q", program.tileQ, "Rows of a tile, and keys of a step.");
  table.i32("TILE_K", program.tileK);
  table.i32("REACH_LEFT", program.reachLeft, "Keys that the convolutions read to the left.");
  table.i32(
    "LAG",
    final.lag,
    "Keys by which results trail the scores: what the convolutions read to the right.",
  );
  const output = outputModel(
    plan,
    {
      rows: program.headBlock * program.tileQ,
      tileQ: program.tileQ,
      workgroup: kernel.workgroupSize,
      blocks: program.outputBlocks,
      epilogue: program.epilogue,
    },
    table,
  );
  const normalized = program.regions[program.statisticsRegion];
  const convs = program.chain.flatMap((step) => {
    if (step.kind !== "conv") return [];
    const stage = stageOf(pipeline, step.stage);
    return stage.kind === "conv"
      ? [convModel(plan, stage, rowStrideName(regionAt(step.from), table), table)]
      : [];
  });
  const single = program.role === "single_pass";
  const factorsAt = table.u32(
    "FACTORS_AT",
    program.factorsAt,
    "Arena words of the rows' factors and the softmax's partial results.",
  );
  const partialsAt = table.u32("PARTIALS_AT", program.partialsAt);
  const rowFactor = (index: number): string => `arena[${factorsAt} + r${index === 0 ? "" : ` + ${index}u`}]`;
  const chain = program.chain.map((step, index) =>
    chainModel(plan, program, step, finishes[index], regionAt, table),
  );
  const headDimModel = headDim(pipeline.headDim, table);
  const finalModel = regionModel(final, program.headBlock, table);
  const team = table.u32("TEAM", program.team, "Invocations that share a row of the softmax.");
  const statistics =
    normalized === undefined
      ? null
      : { ...statisticsNames(program, normalized, table), above: normalized.above };
  const common = commonModel(plan, kernel, { purpose: PURPOSE[program.role], constants: table.list });
  return {
    ...common,
    ...output,
    packs: common.packs && program.role !== "statistics",
    arenaWords: u32(program.arenaWords),
    fours: true,
    puts: true,
    finishes,
    tensors: {
      q: tensorModel("q", pipeline.headDim, plan.alignment.q, plan.storage),
      q_history: tensorModel("q_history", pipeline.headDim, plan.alignment.q, plan.storage),
      k: tensorModel("k", pipeline.headDim, plan.alignment.k, plan.storage),
    },
    ...headDimModel,
    convs,
    rawRows: u32(raw.rows),
    rawAbove: raw.above,
    final: finalModel,
    chain,
    apply: program.role === "apply",
    single,
    softmax: program.role !== "apply",
    output: program.role !== "statistics",
    writesStatistics: program.role === "statistics",
    statistics,
    team,
    factorsAt,
    partialsAt,
    fourFactors: `vec4f(${[0, 1, 2, 3].map(rowFactor).join(", ")})`,
    splitValue: pipeline.valueDim % 4 !== 0 && pipeline.valueDim > 4,
    loadValue: loadValue(pipeline.valueDim, "value", "v_at + u32(key) * launch.v_stride_l"),
  };
}

/** Columns of the inner product that whole fours cover, and the rest. */
export function headDim(size: number, table: ConstantTable) {
  const body = size - (size % 4);
  const name = table.u32(
    "HEAD_DIM",
    body,
    size === body ? undefined : "Elements of q and k in whole fours; the rest follow.",
  );
  return { headDimBody: body === 0 ? null : name, headDimTailAt: name };
}

function statisticsNames(
  program: FusedProgram,
  normalized: Region,
  table: ConstantTable,
): { at: string; rows: string } {
  return {
    at: table.u32(
      "STATISTICS_AT",
      program.statisticsAt,
      "Arena words of the rows' maxima and reciprocal sums, in pairs; and rows a head.",
    ),
    rows: table.u32("STATISTICS_ROWS", normalized.rows),
  };
}

function stepName(plan: Plan, step: ChainStep): string {
  return step.kind === "dot" ? "scores" : stageName(stageOf(plan.pipeline, step.stage));
}

function chainModel(
  plan: Plan,
  program: FusedProgram,
  step: ChainStep,
  finish: FinishModel | undefined,
  regionAt: (index: number) => Region,
  table: ConstantTable,
) {
  const heads = program.headBlock;
  const columnBlocks = program.tileK / 4;
  const normalized = program.regions[program.statisticsRegion];
  const names = normalized === undefined ? null : statisticsNames(program, normalized, table);
  const statistics = { statisticsAt: names?.at ?? "", statisticsRows: names?.rows ?? "" };
  if (step.kind === "mix") {
    const stage = stageOf(plan.pipeline, step.stage);
    const region = regionAt(step.in);
    const group = stage.kind === "mix" ? stage.group : 1;
    return {
      isMix: true,
      comment: `${describe(stage)}: every head of a group becomes a sum over the group, in place.`,
      in: regionModel(region, heads, table),
      finish,
      units: u32((heads / group) * region.rows * columnBlocks),
      unitsPerGroup: u32(region.rows * columnBlocks),
      columnBlocks: u32(columnBlocks),
      mix: {
        group: u32(group),
        weightAt: table.u32(
          `${stageName(stage).toUpperCase()}_WEIGHT_AT`,
          parameterAt(plan, stage.weight),
          `${stage.weight} in parameters.`,
        ),
        outputs: mixOutputs(group, group),
      },
      ...statistics,
    };
  }
  const to = regionAt(step.to);
  const rowBlocks = to.rows / 4;
  const common = {
    to: regionModel(to, heads, table),
    finish,
    units: u32(heads * rowBlocks * columnBlocks),
    unitsPerHead: u32(rowBlocks * columnBlocks),
    rowBlocks: u32(rowBlocks),
    columnBlocks: u32(columnBlocks),
    ...statistics,
  };
  if (step.kind === "dot") return { isDot: true, comment: "Scores of the step's new keys.", ...common };
  const from = regionAt(step.from);
  const raw = regionAt(0);
  const stage = stageOf(plan.pipeline, step.stage);
  return {
    isConv: true,
    comment: `${describe(stage)}.`,
    ...common,
    from: { ...regionModel(from, heads, table), carries: from.carry > 0 },
    conv: stage.kind === "conv" ? convModel(plan, stage, rowStrideName(from, table), table) : null,
    toDocumentRow: u32(raw.above - to.above),
    fromDocumentRow: u32(raw.above - from.above),
  };
}
