import type { Epilogue, OutputStage, Plan } from "../../../runtime/contract/index.ts";
import type { Dialect } from "../dialect/dialect.ts";
import type { ConstantTable } from "./constants.ts";
import { parameterAt, sourceLine, stageLabel } from "./stages.ts";

/** Geometry of a workgroup's results, for the kernels that write the output. */
export interface OutputGeometry {
  /** Rows over all heads of the workgroup. */
  readonly rows: number;
  readonly heads: number;
  readonly threads: number;
  /** 4x4 blocks of results of an invocation. */
  readonly blocks: number;
  readonly epilogue: Epilogue;
}

/** Adds the constants of the results; how the output's stages are computed. */
export function outputModel(plan: Plan, geometry: OutputGeometry, table: ConstantTable, dialect: Dialect) {
  const { valueDim } = plan.pipeline;
  const { rows, heads, threads, blocks, epilogue } = geometry;
  const { words } = dialect;
  const perRow = Math.ceil(valueDim / 4);
  const units = (rows / 4) * perRow;
  table.int("ROWS", rows, `Rows of a ${words.group}'s results over all its heads.`);
  table.int("VALUE_BLOCKS", perRow, "Blocks of four that cover a row of values.");
  table.int("VALUE_STRIDE", perRow * 4, "Words between two staged rows.");
  table.int("OUTPUT_BLOCKS", units, `Blocks of four rows by four values of a ${words.group}'s results.`);
  table.int("BLOCKS", blocks, `How many of them each of the ${words.threads} computes.`);
  table.bool("SAME_VALUES", heads === 1 && threads % perRow === 0, "Whether these all read the same values.");
  const staged = epilogue.mode === "staged";
  if (staged) {
    table.int("STAGE_AT", epilogue.stageAt, `Words of ${words.memory} where staged rows lie.`);
    table.int("SECOND_AT", epilogue.secondAt, `Words of ${words.memory} of their second copy.`);
    table.int("CHUNK_ROWS", epilogue.chunkRows, "Rows of results that are staged at a time.");
    table.int("CHUNK_TEAM", epilogue.team, `Neighbouring ${words.threads} that share a staged row.`);
  }
  if (epilogue.mode === "rows")
    table.int("ROW_FACTORS_AT", epilogue.factorsAt, `Words of ${words.memory} where the rows' factors lie.`);
  table.int("ROW_SUMS_AT", epilogue.partialsAt, `Words of ${words.memory} of the sums over rows.`);
  const { stages, resultAt } = stageModels(plan, table, dialect);
  return {
    stages,
    rows: epilogue.mode === "rows",
    staged,
    /** Whether a row's last block of four is shorter. */
    padded: valueDim % 4 !== 0,
    /** Whether some invocations have fewer blocks than others. */
    guarded: blocks * threads > units,
    /** Registers of an invocation's blocks, where a language keeps them apart, and the unit of work that each is. */
    registers: Array.from({ length: blocks }, (_, index) => ({
      name: `o${index}`,
      unit: index === 0 ? "thread" : `thread + ${index === 1 ? "" : `${index} * `}THREADS`,
    })),
    resultAt,
  };
}

/** The stages of the output, with constants of where their parameters lie. */
export function stageModels(plan: Plan, table: ConstantTable, dialect: Dialect) {
  // Rows that a channel gate reads while it writes lie in two places by turns.
  let from = "STAGE_AT";
  const stages = plan.pipeline.output.map((stage) => {
    const to = channel(stage) ? other(from) : from;
    const common = {
      line: sourceLine(stage),
      comment: stageLabel(stage),
      weightAt: placeOf(plan, stage.weight, table),
      from,
      to,
    };
    from = to;
    if (stage.kind === "norm")
      return {
        ...common,
        isNorm: true as const,
        eps: dialect.literal("f32", stage.eps),
        depthScale: stage.depthScale,
      };
    const biasAt = placeOf(plan, stage.bias, table);
    return { ...common, isNorm: false as const, biasAt, channel: channel(stage) };
  });
  return { stages, resultAt: from };
}

function channel(stage: OutputStage): boolean {
  return stage.kind === "gate" && stage.mode !== "scalar";
}

function other(place: string): string {
  return place === "STAGE_AT" ? "SECOND_AT" : "STAGE_AT";
}

function placeOf(plan: Plan, parameter: string, table: ConstantTable): string {
  const name = `${parameter.replaceAll(".", "_").toUpperCase()}_AT`;
  return table.int(name, parameterAt(plan, parameter), `${parameter} in parameters.`);
}
