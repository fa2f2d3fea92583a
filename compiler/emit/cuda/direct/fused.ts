import {
  type ChainStep,
  convReach,
  type FusedProgram,
  type KernelPlan,
  type Plan,
  type Region,
} from "../../../../runtime/contract/index.ts";
import { describe, parameterAt, stageName, stageOf } from "../../model.ts";
import { Constants, convModel, directModel, type FinishModel, finishModel } from "./model.ts";
import { outputModel } from "./output.ts";

const PURPOSE = {
  single_pass: [
    "Attention in one pass over the keys with an online softmax (Milakov and Gimelshein 2018; FlashAttention).",
    "Shared memory holds the scores of one tile with the halo that the convolutions read.",
  ],
  statistics: ["Pass 1 of 2: the maximum and the sum of every row's softmax, online over the keys."],
  apply: [
    "Pass 2 of 2: the scores again, normalised with the rows' maxima and sums, through the stages after the softmax, times V.",
  ],
} as const;

/** The model of `templates/cuda/direct/fused.cu.hbs`. */
export function fusedModel(plan: Plan, kernel: KernelPlan, program: FusedProgram) {
  const { pipeline } = plan;
  const constants = new Constants();
  const regionAt = (index: number): Region => {
    const region = program.regions[index];
    if (region === undefined) throw new RangeError(`the program has no region ${index}`);
    return region;
  };
  const raw = regionAt(0);
  const final = regionAt(program.final);
  constants.int("HEAD_BLOCK", program.headBlock, "Heads that a block computes together.");
  constants.int("TILE_Q", program.tileQ, "Rows of a tile.");
  constants.int("TILE_K", program.tileK, "Keys of a step.");
  constants.int("REACH_LEFT", program.reachLeft, "Keys that the convolutions read to the left.");
  constants.int(
    "LAG",
    final.lag,
    "Keys by which results trail the scores: what the convolutions read to the right.",
  );
  constants.int("ARENA_WORDS", program.arenaWords, "Words of shared memory.");
  if (pipeline.mask.some((term) => term.kind === "documents"))
    constants.int("DOCUMENTS_AT", program.arenaWords);
  const output = program.role !== "statistics";
  const softmax = program.role !== "apply";
  constants.int("ROWS", program.headBlock * program.tileQ, "Rows of a block's results over all its heads.");
  if (softmax) {
    constants.int("TEAM", program.team, "Neighbouring lanes that share a row of the softmax.");
    constants.int(
      "SHARE",
      program.tileK / program.team / 4,
      "Blocks of four scores of a step that each of them takes.",
    );
    constants.int("FACTORS_AT", program.factorsAt, "First word of the rows' factors.");
  }
  const normalized = program.regions[program.statisticsRegion];
  if (normalized !== undefined) {
    constants.int(
      "STATISTICS_AT",
      program.statisticsAt,
      "First word of the rows' maxima and reciprocal sums, in pairs.",
    );
    constants.int("STATISTICS_ROWS", normalized.rows);
  }
  const finishes: FinishModel[] = program.chain.map((step) =>
    finishModel(pipeline, stepName(plan, step), step.finish),
  );
  const convs = program.chain.flatMap((step) => {
    if (step.kind !== "conv") return [];
    const stage = stageOf(pipeline, step.stage);
    if (stage.kind !== "conv") return [];
    const { left, right } = convReach(stage);
    const from = regionAt(step.from);
    const tile = { rowStride: regionModel(from, constants).rowStride, shift: from.carry - left - right };
    return [convModel(plan, stage, tile, constants)];
  });
  const chain = program.chain.map((step, index) =>
    chainModel(plan, program, step, finishes[index], regionAt, constants),
  );
  const epilogue = output
    ? outputModel(
        plan,
        {
          rows: program.headBlock * program.tileQ,
          tileQ: program.tileQ,
          threads: kernel.workgroupSize,
          blocks: program.outputBlocks,
          heads: program.headBlock,
          epilogue: program.epilogue,
        },
        constants,
      )
    : null;
  return {
    ...directModel(plan, kernel, { constants, purpose: PURPOSE[program.role] }),
    finishes,
    convs,
    rawRows: raw.rows,
    rawMinusAbove: minus(raw.above),
    final: regionModel(final, constants),
    chain,
    apply: program.role === "apply",
    single: program.role === "single_pass",
    softmax,
    output,
    writesStatistics: program.role === "statistics",
    statisticsMinusAbove: minus(normalized?.above ?? 0),
    epilogue,
  };
}

function minus(value: number): string {
  return value === 0 ? "" : ` - ${value}`;
}

function plus(value: number): string {
  return value === 0 ? "" : ` + ${value}`;
}

/** Names of a region's constants, and what is added to positions to get into it. */
interface RegionModel {
  readonly at: string;
  readonly rows: string;
  readonly carry: string;
  readonly carries: boolean;
  readonly rowStride: string;
  readonly headStride: string;
  readonly minusAbove: string;
  readonly minusLag: string;
}

function regionModel(region: Region, constants: Constants): RegionModel {
  const name = region.name.toUpperCase();
  const what =
    region.name === "raw" ? "Scores of the tile with their halo" : `Map ${region.name.replaceAll("_", " ")}`;
  return {
    at: constants.int(`${name}_AT`, region.offset, `${what}: first word of shared memory.`),
    rows: constants.int(`${name}_ROWS`, region.rows),
    carry: constants.int(`${name}_CARRY`, region.carry, "Columns kept from the step before."),
    carries: region.carry > 0,
    rowStride: constants.int(`${name}_ROW_STRIDE`, region.rowStride, "Words between two rows."),
    headStride: constants.int(`${name}_HEAD_STRIDE`, region.headStride, "Words between two heads."),
    minusAbove: minus(region.above),
    minusLag: minus(region.lag),
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
  constants: Constants,
) {
  const columnBlocks = program.tileK / 4;
  if (step.kind === "mix") {
    const stage = stageOf(plan.pipeline, step.stage);
    const group = stage.kind === "mix" ? stage.group : 1;
    const name = stageName(stage).toUpperCase();
    return {
      isMix: true,
      comment: `${describe(stage)}: every head of a group becomes a sum over the group, in place.`,
      in: regionModel(regionAt(step.in), constants),
      finish,
      units: (program.headBlock / group) * regionAt(step.in).rows * columnBlocks,
      mix: {
        group: constants.int(`${name}_GROUP`, group, "Heads that are mixed."),
        weightAt: constants.int(
          `${name}_WEIGHT_AT`,
          parameterAt(plan, stage.weight),
          `${stage.weight} in parameters.`,
        ),
      },
    };
  }
  const to = regionAt(step.to);
  const common = {
    to: regionModel(to, constants),
    finish,
    units: (program.headBlock * to.rows * columnBlocks) / 4,
  };
  if (step.kind === "dot") return { isDot: true, comment: "Scores of the step's new keys.", ...common };
  const from = regionAt(step.from);
  const raw = regionAt(0);
  const stage = stageOf(plan.pipeline, step.stage);
  if (stage.kind !== "conv") throw new RangeError("the plan's convolution names another stage");
  const { left, right } = convReach(stage);
  const source = regionModel(from, constants);
  return {
    isConv: true,
    comment: `${describe(stage)}.`,
    ...common,
    from: source,
    conv: convModel(
      plan,
      stage,
      { rowStride: source.rowStride, shift: from.carry - left - right },
      constants,
    ),
    toDocumentRow: plus(raw.above - to.above),
    fromDocumentRow: plus(raw.above - from.above),
  };
}
