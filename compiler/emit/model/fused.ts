import {
  type ChainStep,
  type CombineProgram,
  convReach,
  type FusedProgram,
  hasMask,
  type KernelPlan,
  type Plan,
  type Region,
} from "../../../runtime/contract/index.ts";
import type { Dialect } from "../dialect/dialect.ts";
import { ConstantTable } from "./constants.ts";
import { convModel, finishModel, mixModel } from "./ops.ts";
import { outputModel } from "./output.ts";
import { kernelModel } from "./source.ts";
import { linearStage, sourceLine, stageName } from "./stages.ts";

function purposeOf(role: FusedProgram["role"], { memory }: Dialect["words"]): readonly string[] {
  switch (role) {
    case "single_pass":
      return [
        "Attention in one pass over the keys with an online softmax (Milakov and Gimelshein 2018; FlashAttention).",
        `${memory.charAt(0).toUpperCase()}${memory.slice(1)} holds the scores of one tile with the halo that the convolutions read.`,
      ];
    case "statistics":
      return ["Pass 1 of 2: the maximum and the sum of every row's softmax, online over the keys."];
    case "apply":
      return [
        "Pass 2 of 2: the scores again, normalised with the rows' maxima and sums, through the stages after the",
        "softmax, times V.",
      ];
  }
}

/** A kernel that walks along the keys with all stages in workgroup memory. */
export function fusedModel(plan: Plan, kernel: KernelPlan, program: FusedProgram, dialect: Dialect) {
  const { regions, role } = program;
  const table = new ConstantTable();
  addTile(program, table, dialect);
  for (const region of regions) addRegion(region, table);
  const raw = regionAt(program, 0);
  const final = regionAt(program, program.final);
  const normalized = regions[program.statisticsRegion] ?? null;
  addSoftmax(program, normalized, table, dialect);
  if (program.splits) addPart(plan, table);
  if (program.stepsBefore > 0)
    table.int(
      "STEPS_BEFORE",
      program.stepsBefore,
      "Steps before its own whose scores a part's convolutions read.",
    );
  if (hasMask(plan.pipeline, "documents"))
    table.int("DOCUMENTS_AT", program.arenaWords, "First word of the rows' documents.");
  const chain = program.chain.map((step) => stepModel(plan, program, step, table, dialect));
  const epilogue =
    role === "statistics"
      ? null
      : outputModel(
          plan,
          {
            rows: program.headBlock * program.tileQ,
            heads: program.headBlock,
            threads: kernel.workgroupSize,
            blocks: program.outputBlocks,
            epilogue: program.epilogue,
          },
          table,
          dialect,
        );
  return {
    ...kernelModel(plan, kernel, dialect, { constants: table, purpose: purposeOf(role, dialect.words) }),
    chain,
    raw: regionModel(raw),
    final: regionModel(final),
    single: role === "single_pass",
    splits: program.splits,
    /** Whether a part computes scores before its own. */
    before: program.stepsBefore > 0,
    softmax: role !== "apply",
    writesStatistics: role === "statistics",
    /** The region whose rows are normalised with statistics of a pass before. */
    statistics: normalized === null ? null : regionModel(normalized),
    epilogue,
  };
}

/** How the parts of a row's results lie that workgroups leave. */
function addPart({ pipeline }: Plan, table: ConstantTable): void {
  table.int("PART_WORDS", pipeline.valueDim + 2, "Words of a part of a row: values, maximum, sum.");
}

/** A kernel that adds up parts of results. */
export function combineModel(plan: Plan, kernel: KernelPlan, program: CombineProgram, dialect: Dialect) {
  const { words } = dialect;
  const table = new ConstantTable();
  table.int("TILE_Q", program.tileQ, `Rows of a ${words.group}.`);
  table.int("ARENA_WORDS", program.arenaWords, `Words of ${words.memory}.`);
  addPart(plan, table);
  const geometry = {
    rows: program.tileQ,
    heads: 1,
    threads: kernel.workgroupSize,
    blocks: program.outputBlocks,
    epilogue: program.epilogue,
  };
  const purpose = `Adds up what ${words.group}s have found that share the keys of few rows.`;
  return {
    epilogue: outputModel(plan, geometry, table, dialect),
    ...kernelModel(plan, kernel, dialect, { constants: table, purpose: [purpose] }),
    arena: program.arenaWords > 0,
  };
}

function regionAt({ regions }: FusedProgram, index: number): Region {
  const region = regions[index];
  if (region === undefined) throw new RangeError(`the program has no region ${index}`);
  return region;
}

function addTile(program: FusedProgram, table: ConstantTable, { words }: Dialect): void {
  table.int("HEAD_BLOCK", program.headBlock, `Heads that a ${words.group} computes together.`);
  table.int("TILE_Q", program.tileQ, "Rows of a tile.");
  table.int("TILE_K", program.tileK, "Keys of a step.");
  table.int("REACH_LEFT", program.reachLeft, "Keys that the convolutions read to the left.");
  table.int(
    "LAG",
    regionAt(program, program.final).lag,
    "Keys by which results trail the scores: what the convolutions read to the right.",
  );
  table.int("ARENA_WORDS", program.arenaWords, `Words of ${words.memory}.`);
  table.int(
    "ROWS",
    program.headBlock * program.tileQ,
    `Rows of a ${words.group}'s results over all its heads.`,
  );
}

function addSoftmax(
  program: FusedProgram,
  normalized: Region | null,
  table: ConstantTable,
  { words }: Dialect,
): void {
  if (program.role !== "apply") {
    table.int("TEAM", program.team, `Neighbouring ${words.threads} that share a row of the softmax.`);
    table.int("SHARE", program.tileK / program.team / 4, "Blocks of four scores of a step that each takes.");
    table.int("FACTORS_AT", program.factorsAt, "First word of the rows' factors.");
    table.int("PARTIALS_AT", program.partialsAt, "First word of the softmax's partial results.");
  }
  if (normalized === null) return;
  table.int(
    "STATISTICS_AT",
    program.statisticsAt,
    "First word of the rows' maxima and reciprocal sums, in pairs.",
  );
  table.int("STATISTICS_ROWS", normalized.rows, "Rows of a head that have them.");
}

function addRegion(region: Region, table: ConstantTable): void {
  const name = region.name.toUpperCase();
  const what =
    region.name === "raw" ? "Scores of the tile with their halo" : `Map ${region.name.replaceAll("_", " ")}`;
  table.int(`${name}_AT`, region.offset, `${what}: first word.`);
  table.int(`${name}_ROWS`, region.rows, "Rows of a head.");
  if (region.above > 0) table.int(`${name}_ABOVE`, region.above, "Rows before the tile's first.");
  table.int(`${name}_CARRY`, region.carry, "Columns kept from the step before.");
  if (region.lag > 0) table.int(`${name}_LAG`, region.lag, "Keys by which it trails the scores.");
  table.int(`${name}_ROW_STRIDE`, region.rowStride, "Words between two rows.");
  table.int(`${name}_HEAD_STRIDE`, region.headStride, "Words between two heads.");
}

/** A block of entries, whose constants begin with `name`. */
function regionModel(region: Region) {
  const name = region.name.toUpperCase();
  return {
    name,
    /** The row of the attention that is its first, and the key that is a step's first in it. */
    firstRow: region.above === 0 ? "tile_row" : `tile_row - ${name}_ABOVE`,
    firstKey: region.lag === 0 ? "step * TILE_K" : `step * TILE_K - ${name}_LAG`,
    carries: region.carry > 0,
  };
}

function stepModel(
  plan: Plan,
  program: FusedProgram,
  step: ChainStep,
  table: ConstantTable,
  dialect: Dialect,
) {
  const { pipeline } = plan;
  const oneHead = program.headBlock === 1;
  const common = (name: string, line: number | null, to: number) => ({
    stage: name,
    line,
    to: regionModel(regionAt(program, to)),
    finish: finishModel(pipeline, name, step.finish, dialect),
  });
  if (step.kind === "dot")
    return { isConv: false as const, isMix: false as const, ...common("scores", null, step.to), oneHead };
  if (step.kind === "mix") {
    const stage = linearStage(pipeline, step.stage, "mix");
    return {
      isConv: false as const,
      isMix: true as const,
      ...common(stageName(stage), sourceLine(stage), step.in),
      mix: mixModel(plan, stage, table, stage.group),
      oneHead: program.headBlock === stage.group,
    };
  }
  const stage = linearStage(pipeline, step.stage, "conv");
  const { left, right } = convReach(stage);
  const raw = regionAt(program, 0);
  const from = regionAt(program, step.from);
  const to = regionAt(program, step.to);
  return {
    isConv: true as const,
    isMix: false as const,
    ...common(stageName(stage), sourceLine(stage), step.to),
    from: regionModel(from),
    conv: convModel(plan, stage, table, from.carry - left - right),
    /** Rows from the first of the raw scores, whose documents are kept, to the first of each region. */
    toDocumentRow: raw.above - to.above,
    fromDocumentRow: raw.above - from.above,
    oneHead,
  };
}
