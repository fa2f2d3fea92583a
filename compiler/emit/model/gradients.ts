import {
  type BiasGradientProgram,
  type ConvGradientProgram,
  convReach,
  elementCount,
  type KernelPlan,
  type KeyProductProgram,
  type LargestEntry,
  type MixGradientProgram,
  type NormalizeAdjointProgram,
  type OutputAdjointProgram,
  type OutputStage,
  type Pipeline,
  type Plan,
  type PointwiseProgram,
  type RowProductProgram,
  type SumProgram,
} from "../../../runtime/contract/index.ts";
import type { Dialect } from "../dialect/dialect.ts";
import { pointwiseComment, pointwiseModel } from "../pointwise.ts";
import { ConstantTable } from "./constants.ts";
import { convModel, mixModel } from "./ops.ts";
import { kernelModel } from "./source.ts";
import { describe, linearStage, parameterAt, sourceLine, stageLabel } from "./stages.ts";

/** Fours of channels of a row of values that lies in a strip. */
export function addStripRows(table: ConstantTable, { valueDim }: Pipeline): void {
  table.int("VALUE_FOURS", Math.ceil(valueDim / 4), "Fours of channels of a row of values in the strip.");
}

/** Which largest entry a kernel records: said to it as constants. */
export function recordsConstants(table: ConstantTable, records: LargestEntry | undefined): void {
  if (records === undefined) return;
  kindsConstant(table, records);
  table.int("RECORDED_AT", records.at, "The kind of those that are written here.");
}

/** Which one a kernel scales by. */
export function scaleConstants(table: ConstantTable, scale: LargestEntry): void {
  kindsConstant(table, scale);
  table.int("SCALED_AT", scale.at, "The kind of those that are scaled here.");
}

function kindsConstant(table: ConstantTable, { of }: LargestEntry): void {
  table.int("KINDS", of, "Kinds of gradients whose largest sizes each head has.");
}

export function pointwiseKernelModel(
  plan: Plan,
  kernel: KernelPlan,
  program: PointwiseProgram,
  dialect: Dialect,
) {
  const { stages, adjoint } = program;
  const spelt = stages.map(pointwiseComment).join("").slice(0, -2);
  const table = new ConstantTable();
  table.int("TILE_Q", program.tileQ, `Rows of a ${dialect.words.group}'s tile.`);
  table.int("TILE_K", program.tileK, `Keys of a ${dialect.words.group}'s tile.`);
  const purpose = adjoint
    ? `What passes back through ${spelt}, in place.`
    : `${spelt}, from one map of the strip to another.`;
  return {
    ...kernelModel(plan, kernel, dialect, { constants: table, purpose: [purpose] }),
    adjoint,
    stages: stages.map((each) => pointwiseModel(each, (value) => dialect.literal("f32", value))),
  };
}

export function normalizeAdjointModel(
  plan: Plan,
  kernel: KernelPlan,
  program: NormalizeAdjointProgram,
  dialect: Dialect,
) {
  const sparsemax = plan.pipeline.normalize === "sparsemax";
  const table = new ConstantTable();
  table.int("TEAM", program.team, `Neighbouring ${dialect.words.threads} that share a row.`);
  table.int("ARENA_WORDS", program.arenaWords, `Words of ${dialect.words.memory}.`);
  recordsConstants(table, program.records);
  const purpose = sparsemax
    ? "What passes back through sparsemax: the gradient less its mean, where there is weight (Martins and Astudillo 2016, section 2.5)."
    : "What passes back through the softmax: weight * (gradient - the weights' mean of the gradient).";
  const model = kernelModel(plan, kernel, dialect, { constants: table, purpose: [purpose] });
  return { ...model, sparsemax, records: program.records !== undefined };
}

/** Rows of keys or of values, as the four-channel blocks of a kernel count them. */
function channelsOf({ headDim, valueDim }: Pipeline, of: "k" | "v", table: ConstantTable): void {
  const channels = of === "k" ? headDim : valueDim;
  table.int("CHANNELS", of === "k" ? "HEAD_DIM" : "VALUE_DIM", "Channels of a row.");
  table.int(
    "CHANNEL_FOURS",
    Math.ceil(channels / 4),
    "Fours of channels, the last of which may be cut short.",
  );
}

export function rowProductModel(plan: Plan, kernel: KernelPlan, { of }: RowProductProgram, dialect: Dialect) {
  const table = new ConstantTable();
  channelsOf(plan.pipeline, of, table);
  const purpose =
    of === "k"
      ? "The gradient of the queries: scale * that of the scores times the keys."
      : "The strip's weights times the values: what the output's stages are given.";
  const model = kernelModel(plan, kernel, dialect, { constants: table, purpose: [purpose] });
  return { ...model, ofKeys: of === "k", variable: of, rows: of === "k" ? model.head : model.value };
}

export function keyProductModel(plan: Plan, kernel: KernelPlan, { of }: KeyProductProgram, dialect: Dialect) {
  const { pipeline } = plan;
  const table = new ConstantTable();
  channelsOf(pipeline, of, table);
  table.int("KEY_HEADS", pipeline.kvHeads, "Heads of keys and values.");
  if (of === "v") addStripRows(table, pipeline);
  const purpose =
    of === "k"
      ? "Adds what the strip's rows give to the gradient of the keys: scale * that of the scores, transposed, times the queries."
      : "Adds what the strip's rows give to the gradient of the values: the weights, transposed, times that of their results.";
  const model = kernelModel(plan, kernel, dialect, { constants: table, purpose: [purpose] });
  return { ...model, ofKeys: of === "k", result: of === "k" ? "d_k" : "d_v" };
}

export function convGradientModel(
  plan: Plan,
  kernel: KernelPlan,
  program: ConvGradientProgram,
  dialect: Dialect,
) {
  const stage = linearStage(plan.pipeline, program.stage, "conv");
  const reach = convReach(stage);
  const table = new ConstantTable();
  table.int("TILE_K", program.tileK, `Keys of a ${dialect.words.group}.`);
  table.int("ARENA_WORDS", program.arenaWords, `Words of ${dialect.words.memory}.`);
  table.int("REACH_PAST", reach.past, "Rows before a row that its taps read.");
  table.int("REACH_LEFT", reach.left, "Keys left of a key that its taps read.");
  table.int("TAPS", program.taps, `Taps of a ${dialect.words.group}.`);
  table.int("CHUNKS", program.chunks, `${dialect.words.group}s that share a row of the kernel.`);
  const conv = convModel(plan, stage, table, 0);
  const biasRow = conv.bias ? 1 : 0;
  table.int(
    "KERNEL_ROWS",
    stage.kernel.query * program.chunks + biasRow,
    conv.bias ? "Parts of a kernel, and its bias." : "Parts of a kernel.",
  );
  const purpose = `The gradient of ${describe(stage)}: its input times that of its result, a part each ${dialect.words.group}.`;
  return { conv, ...kernelModel(plan, kernel, dialect, { constants: table, purpose: [purpose] }) };
}

export function mixGradientModel(
  plan: Plan,
  kernel: KernelPlan,
  program: MixGradientProgram,
  dialect: Dialect,
) {
  const stage = linearStage(plan.pipeline, program.stage, "mix");
  const table = new ConstantTable();
  table.int("TILE_K", program.tileK, `Keys of a ${dialect.words.group}.`);
  table.int("ARENA_WORDS", program.arenaWords, `Words of ${dialect.words.memory}.`);
  table.int("HEAD_FOURS", Math.ceil(stage.group / 4), "Fours of heads of a group.");
  const mix = mixModel(plan, stage, table, 1);
  const purpose = `The gradient of ${describe(stage)}: its input times that of its result, a part each ${dialect.words.group}.`;
  return { mix, ...kernelModel(plan, kernel, dialect, { constants: table, purpose: [purpose] }) };
}

export function biasGradientModel(
  plan: Plan,
  kernel: KernelPlan,
  { tileQ, tileK }: BiasGradientProgram,
  dialect: Dialect,
) {
  const table = new ConstantTable();
  table.int("TILE_Q", tileQ, `Rows of a ${dialect.words.group}'s tile.`);
  table.int("TILE_K", tileK, `Keys of a ${dialect.words.group}'s tile.`);
  const purpose =
    "The gradient of the bias: that of the scores that it was added to, summed up over all that share it.";
  return kernelModel(plan, kernel, dialect, { constants: table, purpose: [purpose] });
}

/** Channels of a row that eight lanes have registers for. */
const FEW_CHANNELS = 128;
/** Channels of a row that 32 lanes have registers for, with the parameters of the output's stages. */
const MOST_LANE_CHANNELS = 256;

export function outputAdjointModel(
  plan: Plan,
  kernel: KernelPlan,
  program: OutputAdjointProgram,
  dialect: Dialect,
) {
  const { pipeline } = plan;
  const { output, valueDim } = pipeline;
  // Whole fours, like rows of the strip.
  const words = 4 * Math.ceil(valueDim / 4);
  // A warp has a row in its registers: only a gate of channels needs all of it at every place.
  const byLanes =
    dialect.language === "cuda" &&
    valueDim <= MOST_LANE_CHANNELS &&
    output.every((stage) => stage.kind === "norm" || stage.mode !== "channel");
  const table = new ConstantTable();
  table.int("ROWS", program.rows, `Rows of a ${dialect.words.group}.`);
  addStripRows(table, pipeline);
  recordsConstants(table, program.records);
  if (output.length > 0) {
    table.int("ARENA_WORDS", program.arenaWords, `Words of ${dialect.words.memory}.`);
    const { threads } = dialect.words;
    const rowWords = (output.length + 2) * words;
    table.int("ROWS_AT_ONCE", program.rowsAtOnce, "Rows that are computed at a time.");
    table.int("TEAM", kernel.workgroupSize / program.rowsAtOnce, `Neighbouring ${threads} that share a row.`);
    table.int(
      "ROW_WORDS",
      rowWords,
      `Words of a row in ${dialect.words.memory}: first what each stage is given.`,
    );
    table.int("GRADIENT_AT", output.length * words, "First word of the gradient in a row.");
    table.int("LOGITS_AT", (output.length + 1) * words, "First word of the gradient of a gate's logits.");
    table.int("FACTORS_AT", program.rowsAtOnce * rowWords, "First word of the rows' factors.");
    table.int("SUMS_AT", program.rowsAtOnce * (rowWords + 1), "First word of what is summed up.");
    table.int("PARAMETER_WORDS", program.parameterWords, "Words of the gradients of the stages' parameters.");
    if (byLanes) {
      const lanes = valueDim <= FEW_CHANNELS ? 8 : 32;
      table.int("LANES", lanes, "Neighbouring lanes that share a row.");
      table.int(
        "CHANNELS_OF_LANE",
        4 * Math.ceil(words / 4 / lanes),
        "Channels of a row for each, in fours.",
      );
    }
  }
  const first = Math.min(...output.flatMap((stage) => parametersOf(plan, stage).map(({ at }) => at)));
  const nameOf = ({ name }: OutputStage): string => name.replaceAll(".", "_").toUpperCase();
  const stages = output.map((stage, index) => {
    const [weight, bias] = parametersOf(plan, stage);
    const name = nameOf(stage);
    const following = output[index + 1];
    table.int(`${name}_AT`, index * words, `First word of what ${stage.name} is given.`);
    const placed = (what: string, at: number): { readonly at: string; readonly part: string } => ({
      at: table.int(`${name}_${what}_AT`, at, `Its ${what.toLowerCase()} in parameters.`),
      part: table.int(`${name}_${what}_PART`, at - first, "The same among the gradients of a part."),
    });
    const placedWeight = placed("WEIGHT", weight?.at ?? 0);
    const placedBias = bias === undefined ? { at: "", part: "" } : placed("BIAS", bias.at);
    return {
      index,
      nextIndex: index + 1,
      line: sourceLine(stage),
      spec: stageLabel(stage),
      norm: stage.kind === "norm",
      channel: stage.kind === "gate" && stage.mode === "channel",
      depthScale: stage.kind === "norm" && stage.depthScale,
      eps: dialect.literal("f32", stage.kind === "norm" ? stage.eps : 0),
      /** Words of what it is given, and of its result. */
      at: `${name}_AT`,
      next: following === undefined ? "" : `${nameOf(following)}_AT`,
      last: following === undefined,
      weightAt: placedWeight.at,
      weightPart: placedWeight.part,
      biasAt: placedBias.at,
      biasPart: placedBias.part,
    };
  });
  const purpose =
    output.length === 0
      ? "The gradient of o as rows of the strip, in f32."
      : "What passes back through the stages of the output, and what that gives to the gradients of their parameters.";
  return {
    ...kernelModel(plan, kernel, dialect, { constants: table, purpose: [purpose] }),
    stages,
    backwards: [...stages].reverse(),
    byLanes,
    /** Whether no row has channels after its last whole four. */
    wholeFours: valueDim % 4 === 0,
    records: program.records !== undefined,
  };
}

function parametersOf(
  plan: Plan,
  stage: OutputStage,
): readonly { readonly at: number; readonly length: number }[] {
  const names = stage.kind === "norm" ? [stage.weight] : [stage.weight, stage.bias];
  return names.map((name) => {
    const shape = plan.pipeline.parameters.find((parameter) => parameter.name === name)?.shape ?? [];
    return { at: parameterAt(plan, name), length: elementCount(shape) };
  });
}

export function sumModel(plan: Plan, kernel: KernelPlan, { at, length }: SumProgram, dialect: Dialect) {
  const table = new ConstantTable();
  table.int("PARAMETER_AT", at, "First word of the parameter among all.");
  table.int("LENGTH", length, "Words of the parameter, and of each part.");
  const purpose = "Adds parts of a parameter's gradient up, in their order: the same bits run after run.";
  return kernelModel(plan, kernel, dialect, { constants: table, purpose: [purpose] });
}

export function clearModel(plan: Plan, kernel: KernelPlan, dialect: Dialect) {
  const purpose = "Makes a gradient zero, to which strips add.";
  return kernelModel(plan, kernel, dialect, { constants: new ConstantTable(), purpose: [purpose] });
}
