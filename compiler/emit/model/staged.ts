import {
  adjointReach,
  type ConvProgram,
  convReach,
  type DropoutProgram,
  dropoutThreshold,
  hasMask,
  type KernelPlan,
  type LinearStage,
  type MixProgram,
  type NormalizeProgram,
  type Plan,
  type ProductProgram,
  type ScoresProgram,
} from "../../../runtime/contract/index.ts";
import type { Dialect } from "../dialect/dialect.ts";
import { ConstantTable } from "./constants.ts";
import { addStripRows } from "./gradients.ts";
import { convModel, finishModel, mixModel } from "./ops.ts";
import { outputModel } from "./output.ts";
import { kernelModel } from "./source.ts";
import { describe, linearStage, stageLabel, stageName } from "./stages.ts";

function tileTable({ tileQ, tileK }: { tileQ: number; tileK: number }, { words }: Dialect): ConstantTable {
  const table = new ConstantTable();
  table.int("TILE_Q", tileQ, `Rows of a ${words.group}'s tile.`);
  table.int("TILE_K", tileK, `Keys of a ${words.group}'s tile.`);
  return table;
}

function purposeOf(stage: LinearStage, adjoint: boolean): string {
  if (adjoint)
    return `What passes back through ${describe(stage)}: from the gradient of its result to that of its input.`;
  return `${describe(stage)}, from one map of the strip to the other.`;
}

/** What the templates of all kernels get that go from map to map. */
function stagedModel(
  plan: Plan,
  kernel: KernelPlan,
  { skipDead }: { readonly skipDead: boolean },
  dialect: Dialect,
  constants: ConstantTable,
  purpose: string,
) {
  return kernelModel(plan, kernel, dialect, { constants, skipDead, purpose: [purpose] });
}

export function scoresModel(plan: Plan, kernel: KernelPlan, program: ScoresProgram, dialect: Dialect) {
  const ofValues = program.of === "values";
  const purpose = ofValues
    ? "The gradient of the weights: map[head][row][key] = that of their result . v where visible, else 0."
    : "Scores of a strip of query rows: map[head][row][key] = scale * q . k where visible, else 0.";
  const table = tileTable(program, dialect);
  if (ofValues) addStripRows(table, plan.pipeline);
  return {
    ofValues,
    ...stagedModel(plan, kernel, program, dialect, table, purpose),
    finish: finishModel(plan.pipeline, "scores", program.finish, dialect),
  };
}

export function convKernelModel(plan: Plan, kernel: KernelPlan, program: ConvProgram, dialect: Dialect) {
  const stage = linearStage(plan.pipeline, program.stage, "conv");
  const adjoint = program.adjoint ?? false;
  const reach = adjoint ? adjointReach(convReach(stage)) : convReach(stage);
  const table = tileTable(program, dialect);
  table.int("REACH_PAST", reach.past, "Rows before the tile that the taps read.");
  table.int("REACH_FUTURE", reach.future, "Rows after the tile that the taps read.");
  table.int("REACH_LEFT", reach.left, "Keys left of the tile that the taps read.");
  table.int("ARENA_WORDS", program.arenaWords, `Words of ${dialect.words.memory}.`);
  table.int("HALO_ROWS", program.haloRows, "Rows of the tile with what is around it.");
  table.int("HALO_COLUMNS", program.haloColumns, "Keys of the tile with what is around it.");
  table.int("HALO_LEFT", program.haloLeft, "Keys left of the tile that are held with it.");
  table.int("HALO_ROW_STRIDE", program.rowStride, "Words between two rows that are held.");
  if (hasMask(plan.pipeline, "documents")) {
    table.int("DOCUMENTS_AT", program.arenaWords, `First word of the documents in ${dialect.words.memory}.`);
    table.int("DOCUMENT_ROWS", program.documentRows, "Rows whose documents are kept.");
  }
  return {
    conv: convModel(plan, stage, table, program.haloLeft - reach.left, adjoint),
    ...stagedModel(plan, kernel, program, dialect, table, purposeOf(stage, adjoint)),
    finish: finishModel(plan.pipeline, stageName(stage), program.finish, dialect),
    staged: program.source === "workgroup",
  };
}

export function mixKernelModel(plan: Plan, kernel: KernelPlan, program: MixProgram, dialect: Dialect) {
  const stage = linearStage(plan.pipeline, program.stage, "mix");
  const adjoint = program.adjoint ?? false;
  const table = tileTable(program, dialect);
  table.int("OUTPUTS", program.outputs, `Heads that a ${dialect.words.group} writes.`);
  return {
    mix: mixModel(plan, stage, table, program.outputs, adjoint),
    ...stagedModel(plan, kernel, program, dialect, table, purposeOf(stage, adjoint)),
    finish: finishModel(plan.pipeline, stageName(stage), program.finish, dialect),
  };
}

export function dropoutModel(plan: Plan, kernel: KernelPlan, program: DropoutProgram, dialect: Dialect) {
  const stage = plan.pipeline.weights[program.stage.index];
  if (stage?.kind !== "dropout") throw new RangeError("the plan's dropout names no stage that is one");
  const table = tileTable(program, dialect);
  table.word(
    "DROPPED_BELOW",
    dropoutThreshold(stage),
    "Words below it drop their entry: 2^32 times the rate.",
  );
  table.float("KEPT_SCALE", Math.fround(1 / (1 - stage.rate)), "1 / (1 - rate), for the entries that stay.");
  const spelt = `${stageLabel(stage)}, dropout ${stage.rate}`;
  const place = program.inPlace ? "in place" : "from one map of the strip to the other";
  const purpose = program.adjoint ? `What passes back through ${spelt}, ${place}.` : `${spelt}, ${place}.`;
  return {
    ...kernelModel(plan, kernel, dialect, { constants: table, purpose: [purpose] }),
    inPlace: program.inPlace,
  };
}

/** Groups of four keys that a lane that normalises a row keeps in registers. */
const HELD_GROUPS = 32;

export function normalizeModel(plan: Plan, kernel: KernelPlan, program: NormalizeProgram, dialect: Dialect) {
  const sparsemax = plan.pipeline.normalize === "sparsemax";
  const keepsLse = program.keepsLse ?? true;
  const purpose = sparsemax
    ? "Sparsemax of the strip's rows, in place (Martins and Astudillo 2016)."
    : `Softmax of the strip's rows, in place${keepsLse ? ", and their log-sum-exp" : ""}.`;
  const table = new ConstantTable();
  table.int("TEAM", program.team, `Neighbouring ${dialect.words.threads} that share a row.`);
  table.int("ROWS", kernel.workgroupSize / program.team, `Rows of a ${dialect.words.group}.`);
  table.int("HELD", HELD_GROUPS, "Groups of four keys that a lane keeps in registers.");
  table.int("ARENA_WORDS", program.arenaWords, `Words of ${dialect.words.memory}.`);
  return {
    ...stagedModel(plan, kernel, program, dialect, table, purpose),
    sparsemax,
    keepsLse,
  };
}

export function productModel(plan: Plan, kernel: KernelPlan, program: ProductProgram, dialect: Dialect) {
  const table = new ConstantTable();
  table.int("TILE_Q", program.tileQ, `Rows of a ${dialect.words.group}.`);
  table.int("ARENA_WORDS", program.arenaWords, `Words of ${dialect.words.memory}.`);
  const purpose = "The strip's weights times V, and the stages of the output.";
  const geometry = {
    rows: program.tileQ,
    heads: 1,
    threads: kernel.workgroupSize,
    blocks: program.outputBlocks,
    epilogue: program.epilogue,
  };
  return {
    epilogue: outputModel(plan, geometry, table, dialect),
    ...stagedModel(plan, kernel, program, dialect, table, purpose),
    arena: program.arenaWords > 0,
  };
}
