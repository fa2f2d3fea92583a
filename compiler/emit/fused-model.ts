import type { ChainStep, FusedProgram, KernelPlan, Plan, Region } from "../../runtime/contract/index.ts";
import {
  anySoftcap,
  commonModel,
  convModel,
  describe,
  type FinishModel,
  finishModel,
  mixOutputs,
  parameterAt,
  stageName,
  stageOf,
  tensorModel,
  u32,
} from "./model.ts";
import { loadValue, outputModel } from "./output-model.ts";

const PURPOSE = {
  single_pass: [
    "Attention in one pass over the keys with an online softmax (Milakov and Gimelshein 2018; FlashAttention).",
    "Workgroup memory holds the scores of one tile with the halo that the convolutions read.",
  ],
  statistics: ["Pass 1 of 2: the log-sum-exp of every row, from an online softmax over the keys."],
  apply: [
    "Pass 2 of 2: the scores again, normalised with the rows' log-sum-exp, through the stages after the softmax, times V.",
  ],
} as const;

function regionModel(region: Region, heads: number): object {
  return {
    at: u32(region.offset),
    rows: u32(region.rows),
    rowCount: region.rows,
    minusAbove: region.above === 0 ? "" : ` - ${region.above}`,
    carry: region.carry === 0 ? "0u" : u32(region.carry),
    rowStride: u32(region.rowStride),
    rowStride2: u32(region.rowStride * 2),
    rowStride3: u32(region.rowStride * 3),
    headStride: u32(region.headStride),
    lag: region.lag,
    lines: u32(heads * region.rows),
  };
}

/** The model of a fused kernel's template. */
export function fusedModel(plan: Plan, kernel: KernelPlan, program: FusedProgram): object {
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
  const rowsTotal = program.headBlock * program.tileQ;
  const output = outputModel(plan, {
    rows: rowsTotal,
    tileQ: program.tileQ,
    workgroup: kernel.workgroupSize,
    blocks: program.outputBlocks,
    epilogue: program.epilogue,
  });
  const normalized = program.regions[program.statisticsRegion];
  const reachLeft = program.regions.reduce((sum, region) => sum + region.carry, 0) - final.lag;
  const convs = program.chain.flatMap((step) => {
    if (step.kind !== "conv") return [];
    const stage = stageOf(pipeline, step.stage);
    return stage.kind === "conv" ? [convModel(plan, stage, regionAt(step.from).rowStride)] : [];
  });
  const common = commonModel(plan, kernel, {
    purpose: PURPOSE[program.role],
    constants: [
      {
        name: "HEAD_BLOCK",
        value: u32(program.headBlock),
        comment: "Heads that a workgroup computes together.",
      },
      { name: "TILE_Q", value: String(program.tileQ), comment: "Rows of a tile, and keys of a step." },
      { name: "TILE_K", value: String(program.tileK) },
      {
        name: "REACH_LEFT",
        value: String(reachLeft),
        comment: "Keys that the convolutions read to the left.",
      },
      {
        name: "LAG",
        value: String(final.lag),
        comment: "Keys by which results trail the scores: what the convolutions read to the right.",
      },
    ],
  });
  const single = program.role === "single_pass";
  const rowFactor = (index: number): string => `arena[${program.factorsAt}u + r + ${index}u]`;
  return {
    ...common,
    ...output,
    packs: common.packs && program.role !== "statistics",
    arenaWords: u32(program.arenaWords),
    fours: true,
    puts: true,
    finishes,
    softcap: anySoftcap(finishes),
    tensors: {
      q: tensorModel("q", pipeline.headDim, plan.alignment.q, plan.storage),
      q_history: tensorModel("q_history", pipeline.headDim, plan.alignment.q, plan.storage),
      k: tensorModel("k", pipeline.headDim, plan.alignment.k, plan.storage),
    },
    ...headDim(pipeline.headDim),
    convs,
    rawRows: u32(raw.rows),
    rawAbove: raw.above,
    final: regionModel(final, program.headBlock),
    chain: program.chain.map((step, index) => chainModel(plan, program, step, finishes[index], regionAt)),
    apply: program.role === "apply",
    single,
    softmax: program.role !== "apply",
    output: program.role !== "statistics",
    writesStatistics: program.role === "statistics",
    statistics:
      normalized === undefined
        ? null
        : { at: u32(program.statisticsAt), rows: u32(normalized.rows), above: normalized.above },
    team: u32(program.team),
    teamIsOne: program.team === 1,
    factorsAt: u32(program.factorsAt),
    partialsAt: u32(program.partialsAt),
    fourFactors: `vec4f(${[0, 1, 2, 3].map(rowFactor).join(", ")})`,
    splitValue: pipeline.valueDim % 4 !== 0 && pipeline.valueDim > 4,
    loadValue: loadValue(pipeline.valueDim, "value", "v_at + u32(key) * launch.v_stride_l"),
  };
}

/** Columns of the inner product that whole fours cover, and the rest. */
export function headDim(size: number): object {
  const body = size - (size % 4);
  return { headDimBody: body === 0 ? null : u32(body), headDimTailAt: u32(body) };
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
): object {
  const heads = program.headBlock;
  const columnBlocks = program.tileK / 4;
  const statistics = {
    statisticsAt: u32(program.statisticsAt),
    statisticsRows: u32(program.regions[program.statisticsRegion]?.rows ?? 0),
  };
  if (step.kind === "mix") {
    const stage = stageOf(plan.pipeline, step.stage);
    const region = regionAt(step.in);
    const group = stage.kind === "mix" ? stage.group : 1;
    return {
      isMix: true,
      comment: `${describe(stage)}: every head of a group becomes a sum over the group, in place.`,
      in: regionModel(region, heads),
      finish,
      units: u32((heads / group) * region.rows * columnBlocks),
      unitsPerGroup: u32(region.rows * columnBlocks),
      columnBlocks: u32(columnBlocks),
      mix: {
        group: u32(group),
        weightAt: u32(parameterAt(plan, stage.weight)),
        outputs: mixOutputs(group, group),
      },
      ...statistics,
    };
  }
  const to = regionAt(step.to);
  const rowBlocks = to.rows / 4;
  const common = {
    to: regionModel(to, heads),
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
    from: { ...regionModel(from, heads), carry: from.carry === 0 ? null : u32(from.carry) },
    conv: stage.kind === "conv" ? convModel(plan, stage, from.rowStride) : null,
    toDocumentRow: u32(raw.above - to.above),
    fromDocumentRow: u32(raw.above - from.above),
  };
}
