import {
  type ConvStage,
  convReach,
  hasMask,
  type KernelPlan,
  type Plan,
  type References,
  type TensorTileProgram,
} from "../../../../runtime/contract/index.ts";
import type { ConstantTable } from "../../model/constants.ts";
import { describe, linearStage, parameterAt } from "../../model/stages.ts";
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

/** A tile kernel, and what of it both its constants and its text ask for. */
interface Tile {
  readonly plan: Plan;
  readonly program: TensorTileProgram;
  /** The convolution of the scores that the kernel makes or loads; of the keys that it loads. */
  readonly conv: ConvStage | null;
  readonly folded: ConvStage | null;
  readonly dot: boolean;
  readonly toMap: boolean;
  /** Whether it multiplies with the values. */
  readonly attention: boolean;
  readonly applies: boolean;
  /** Whether scores take the scale in: else the exponent does, a positive one, which keeps their order. */
  readonly scaled: boolean;
}

function tileOf(plan: Plan, program: TensorTileProgram): Tile {
  const { pipeline } = plan;
  const conv = program.conv === null ? null : linearStage(pipeline, program.conv.stage, "conv");
  const folded = program.folded === null ? null : linearStage(pipeline, program.folded, "conv");
  const dot = program.source === "dot";
  const toMap = program.sink === "map";
  const applies = program.sink === "product";
  const pointwise = program.before.pointwise.length + program.finish.pointwise.length;
  const needed = (conv !== null && !applies) || pointwise > 0 || folded?.bias != null || toMap;
  return {
    plan,
    program,
    conv,
    folded,
    dot,
    toMap,
    attention: program.sink === "attention" || applies,
    applies,
    scaled: dot && (pipeline.scale < 0 || needed || hasMask(pipeline, "bias")),
  };
}

/** The model of `templates/cuda/tensor/tile.cu.hbs`. */
export function tensorTileModel(plan: Plan, kernel: KernelPlan, program: TensorTileProgram) {
  const tile = tileOf(plan, program);
  const { conv, folded, dot, toMap, attention, applies, scaled } = tile;
  const base = tensorModel(plan, kernel, {
    purpose: purposeOf(tile),
    constants: tileConstants(tile),
    blocksPerSm: program.blocksPerSm,
  });
  const right = (conv === null ? 0 : convReach(conv).right) > 0;
  const part = program.keys !== "all";
  const halo = program.haloPast + program.haloFuture > 0;
  const final = program.finish.mask !== "zero";
  const pointwiseAfter = pointwiseModels(program.finish.pointwise);
  const references = referencesModel(tile);
  const moved = references.relative && references.leavesReferences;
  const exponentiates = program.map?.exponentials === true;
  const convolved = folded ?? conv;
  const biased = convolved?.bias == null ? null : convolved;
  return {
    ...base,
    dot,
    attention,
    applies,
    toMap,
    ...sourceModel(program.source === "dot" ? "map" : program.source),
    statistics: program.sink === "statistics",
    softmax: program.sink === "attention" || program.sink === "statistics",
    split: program.splits,
    part,
    inner: program.keys === "inner",
    folded: folded !== null,
    foldedRows: folded !== null && folded.kernel.query > 1,
    // Blocks that end before the tile's last key still read to its right.
    sourceEnd: sourceEnd(program, (program.splits || toMap) && right),
    kernelAt: convolved === null ? null : ofHead("WEIGHT_AT", convolved),
    around: folded !== null && halo,
    halo: folded === null && halo,
    ...references,
    restores: references.relative && (program.sink === "attention" || program.sink === "statistics"),
    exponentiates,
    madeRange: dot && conv !== null,
    queriesInRegisters: program.queriesInRegisters,
    queries: program.queriesInRegisters ? "queries" : "query_fragments",
    scaled,
    pointwiseBefore: pointwiseModels(program.before.pointwise),
    pointwiseAfter,
    finalMap: toMap && final && !exponentiates,
    finishes: pointwiseAfter.length > 0 || (biased !== null && !moved),
    biasAt: biased === null ? null : ofHead("BIAS_AT", biased),
    /** Whether the bias is added to every score: else to what they are relative to. */
    biasAdded: biased !== null && !moved,
    // What hidden scores become, and the largest size of others with their bias: 0 where it is not added.
    hidden: !final ? "0.0f, 0.0f" : toMap && !exponentiates ? "-INFINITE, LARGEST_F16" : "HIDDEN, LARGEST",
    hiddenBefore: applies ? "-INFINITE, LARGEST" : "0.0f, 0.0f",
    tail: (program.conv?.granulesRight ?? 0) > 0,
    // Minus infinity hides in a map of final scores.
    pack:
      toMap && final && !exponentiates
        ? "pack_f16"
        : packOf(plan, program.conv?.stage ?? null, exponentiates),
    skips: program.skips,
    conv: conv === null ? null : convModel(program, conv),
    output: attention ? outputStages(plan) : [],
  };
}

function sourceEnd(program: TensorTileProgram, beyond: boolean): string {
  if (program.folded !== null) return "keys_end";
  if (!program.sourcesEndWithKeys) return "min(keys_end + REACH_RIGHT, batch.keys)";
  return `min(keys_end${beyond ? " + REACH_RIGHT" : ""}, range.y)`;
}

function convModel(program: TensorTileProgram, stage: ConvStage) {
  const registers = program.conv?.taps === "registers";
  return {
    registers,
    exact: program.conv?.precision === "exact",
    taps: registers ? "const Taps&" : "const unsigned char*",
    dilatedKey: stage.dilation.key > 1,
  };
}

/** Pointwise stages need the scores as they are; else what a row's scores are relative to does no more than move its log-sum-exp. */
function referencesModel({ plan, program, conv, folded, toMap }: Tile) {
  const { references, finish, before } = program;
  const kept = references !== null;
  const leaves = kept && toMap && program.map?.exponentials !== true;
  const raises = leaves && program.references?.raised === true;
  const marked = references?.marked === true;
  // What a convolution makes of references is no f16, and so no reference where hidden pairs are marked.
  const rounds = marked && leaves;
  const moves = raises || (rounds && conv !== null);
  const pointwise = pointwiseModels(finish.pointwise);
  const window = hasMask(plan.pipeline, "window");
  return {
    references: kept,
    makesReferences: references?.source === "keys",
    convolvesReferences: kept && (conv ?? folded) !== null,
    relative: kept && finish.pointwise.length === 0 && !moves,
    marked,
    takesHidden: marked && conv !== null,
    /** Whether 0 is kept for hidden pairs: of the scores that the kernel makes and convolves; of those it writes. */
    marksScores: marked && program.source === "dot" && conv !== null,
    marksResults: rounds && finish.mask === "zero",
    roundsReferences: rounds,
    /** Whether rows of the map are relative to the highest of what the convolution makes of references. */
    raisesReferences: raises,
    /** What happens to a score that a reference is made of. */
    referencePointwise: conv === null && folded === null ? pointwise : pointwiseModels(before.pointwise),
    slantedFirsts: window,
    /** What rows of the map that is written are relative to; whether that is still to be taken off. */
    leavesReferences: leaves,
    leftBiased: leaves && conv?.bias != null,
    leftPointwise: conv === null ? [] : pointwise,
    leftSubtracted: leaves && (moves || pointwise.length > 0),
    /** Whether scores are relative from the start. */
    relativeScores:
      program.source === "dot" && kept && folded === null && (conv !== null || pointwise.length === 0),
  };
}

function purposeOf({ program, conv, folded }: Tile): string[] {
  if (folded !== null) {
    return [
      `Queries times keys that hold ${describe(folded)} already,`,
      `on tensor cores, online softmax, times values${program.keys === "all" ? "." : ":"}`,
      ...(program.keys === "all"
        ? []
        : ["the keys that all rows of the tile see, and around them all that the taps read."]),
    ];
  }
  const from = {
    dot: "Queries times keys on tensor cores",
    map: "A map of the strip",
    scores: "The softmax's weights, from the map of final scores",
    exponentials: "The softmax's weights, from the map of exponentials",
  }[program.source];
  const to = {
    attention: "online softmax, times values",
    statistics: "the log-sum-exp of every row",
    product: "normalised with the rows' log-sum-exp before the convolution, times values",
    map: "to the strip's other map",
  }[program.sink];
  const keys =
    program.keys === "border" ? " The keys near the diagonal, which convolved keys cannot do." : "";
  if (conv === null) return [`${from}, ${to}.`];
  return [`${from}, then`, `${describe(conv)}, as products with banded Toeplitz matrices,`, `${to}.${keys}`];
}

function tileConstants(tile: Tile): ConstantTable {
  const { plan, program, conv, folded, dot, attention, toMap, scaled } = tile;
  const { tileK, rowBlocks } = program;
  const convolved = conv ?? folded;
  const reach = convolved === null ? { past: 0, future: 0, left: 0, right: 0 } : convReach(convolved);
  const right = program.conv?.granulesRight ?? 0;
  const constants = threadConstants(program);
  constants.int("ROW_BLOCKS", rowBlocks, "Blocks of sixteen rows of a warp.");
  constants.int("TILE_Q", program.warps * 16 * rowBlocks, "Rows of a block.");
  constants.int("TILE_K", tileK, "Keys of a step.");
  constants.int("GRANULES", tileK / 8, "Blocks of eight keys of a step.");
  const carried = (program.conv?.granulesLeft ?? 0) + right;
  constants.int("CARRIED", carried, "Blocks of eight keys that later steps finish.");
  if (right > 0) constants.int("TAIL", right, "The last ones of them.");
  if (right > 0 && !toMap) constants.int("TAIL_PAIRS", Math.ceil(right / 2) * 2);
  constants.int("LAG", right * 8, "Keys by which results trail the scores that they are made of.");
  constants.int("REACH_LEFT", reach.left, "Keys around an entry that the convolution reads.");
  constants.int("REACH_RIGHT", reach.right);
  if (!dot || program.references !== null || program.skips) {
    constants.int("REACH_PAST", reach.past, "Rows around an entry that the convolution reads.");
    constants.int("REACH_FUTURE", reach.future);
  }
  if (dot) dotConstants(tile, constants);
  if (dot || conv !== null) {
    constants.int("HALO_PAST", program.haloPast, "Rows around the tile that the convolution reads.");
    constants.int("HALO_FUTURE", program.haloFuture);
    constants.int("HALO_ROWS", program.haloPast + program.haloFuture);
  }
  if (attention) valueConstants(tile, constants);
  if (folded !== null) foldedConstants(plan, constants, folded);
  if (program.keys !== "all") {
    const clear = "Rows and keys by which inner keys stay clear of the diagonal.";
    constants.int("INNER_MARGIN", program.inner.margin, clear);
    constants.int("INNER_STEP", program.inner.step, "Inner keys come in whole steps of it.");
  }
  if (conv !== null) convConstants(tile, constants, conv);
  if (program.references !== null)
    referenceConstants(constants, program, program.references, convolved !== null);
  if (program.map !== null) mapConstants(constants, program.map);
  // Maps have left the scale behind.
  const exponent = scaled || !dot ? "LOG2_E" : "SCALE * LOG2_E";
  if (!toMap || program.map?.exponentials === true)
    constants.float("EXPONENT", exponent, "Weights are 2^(score * EXPONENT - maximum).");
  return constants;
}

function dotConstants({ plan, program }: Tile, constants: ConstantTable): void {
  const { headDim } = plan.pipeline;
  constants.int("D_STEPS", Math.ceil(headDim / 16), "Steps of sixteen along head_dim.");
  constants.int("COLUMNS", program.columns, "Keys whose scores are made at a time.");
  constants.int("Q_CHUNKS", granules(headDim), "16-byte units of a query row.");
  constants.int("Q_ROW_BYTES", program.rowBytes.keys, ROW_COMMENT);
  constants.int("K_ROW_BYTES", program.rowBytes.keys);
  constants.int("K_AT", program.places.k, "Bytes of shared memory where things lie.");
  constants.int("Q_AT", program.places.q);
  if (program.places.halo >= 0) constants.int("HALO_AT", program.places.halo);
}

function valueConstants({ plan, program }: Tile, constants: ConstantTable): void {
  constants.int("VALUE_GRANULES", granules(plan.pipeline.valueDim), "Blocks of eight values.");
  constants.int("V_ROW_BYTES", program.rowBytes.values, ROW_COMMENT);
  constants.int("V_AT", program.places.v, "Bytes of shared memory where two tiles of values lie.");
  constants.int("V_TILE_BYTES", "TILE_K * V_ROW_BYTES");
  outputConstants(plan, constants);
}

/** The rows of a kernel whose keys are folded: one copy of the keys each. */
function foldedConstants(plan: Plan, constants: ConstantTable, stage: ConvStage): void {
  constants.int("KERNEL_QUERY", stage.kernel.query, describe(stage));
  constants.int("ORIGIN_QUERY", stage.origin.query, "The tap that meets the current row.");
  constants.int("DILATION_QUERY", stage.dilation.query);
  constants.int("KERNEL_KEY", stage.kernel.key);
  constants.int("ORIGIN_KEY", stage.origin.key, "The tap that meets the current key.");
  constants.int("DILATION_KEY", stage.dilation.key);
  weightConstant(plan, constants, stage);
  if (stage.bias !== null) constants.int("BIAS_AT", parameterAt(plan, stage.bias));
}

function convConstants({ plan, program }: Tile, constants: ConstantTable, stage: ConvStage): void {
  const { conv } = program;
  if (conv === null) return;
  constants.int("S_ROWS", "TILE_Q + HALO_ROWS", "Rows of the tile of scores.");
  constants.int("S_ROW_BYTES", program.rowBytes.scores);
  constants.int("S_AT", program.places.scores);
  if (conv.precision === "exact")
    constants.int(
      "S_REST",
      "S_ROWS * S_ROW_BYTES",
      "Bytes from a score to what rounding it to f16 leaves over.",
    );
  keyConstants(constants, stage);
  constants.int("ORIGIN_QUERY", stage.origin.query, "The tap that meets the current row.");
  constants.int("DILATION_QUERY", stage.dilation.query);
  constants.int("GRANULES_RIGHT", conv.granulesRight, "Blocks of eight keys in reach to the right.");
  constants.int("DISTANCES", "CARRIED + 1", "Blocks of eight keys in reach.");
  constants.int("TAP_PAIRS", Math.ceil(stage.kernel.query / 2), "Pairs of kernel rows.");
  weightConstant(plan, constants, stage);
  if (stage.bias !== null) constants.int("BIAS_AT", parameterAt(plan, stage.bias));
  if (conv.taps === "shared") constants.int("TAPS_AT", program.places.taps);
}

function referenceConstants(
  constants: ConstantTable,
  { places }: TensorTileProgram,
  references: References,
  convolved: boolean,
): void {
  const { keyMeans, marked, raised } = references;
  constants.int("REFERENCES_AT", places.references, "What the rows' scores are relative to.");
  constants.int("REFERENCE_ROWS", "TILE_Q + HALO_ROWS");
  constants.int("CONSTANTS_AT", !convolved ? "REFERENCES_AT" : "REFERENCES_AT + REFERENCE_ROWS * 4");
  if (convolved && marked) {
    constants.int("PAIRED_TAPS_AT", "CONSTANTS_AT + TILE_Q * 4");
    constants.int("PAIRED_TAP_BYTES", 512, "A fragment of taps as pairs of f16.");
  } else if (convolved) {
    const reach = "REACH_LEFT + REACH_RIGHT + REACH_PAST + REACH_FUTURE";
    constants.int("TAP_SUMS_AT", "CONSTANTS_AT + TILE_Q * 4");
    constants.int("TAP_SUMS", `${reach} + 16`, "Keys around an entry for which taps are summed up.");
  }
  if (raised && !marked) constants.int("RAISED_AT", "TAP_SUMS_AT + (KERNEL_QUERY * TAP_SUMS + 3) / 4 * 16");
  if (keyMeans === 0) return;
  const before = convolved ? "TILE_Q" : "REFERENCE_ROWS";
  const sums = !convolved ? "" : " + (KERNEL_QUERY * TAP_SUMS + 3) / 4 * 16";
  constants.int("KEY_MEANS_AT", `CONSTANTS_AT + ${before} * 4${sums}${raised ? " + TILE_Q * 4" : ""}`);
  constants.int("MEAN_BYTES", "D_STEPS * 32 + 16", ROW_COMMENT);
  constants.int("KEY_MEANS", keyMeans, "Blocks of sixteen keys whose means rows meet.");
}

function mapConstants(constants: ConstantTable, map: NonNullable<TensorTileProgram["map"]>): void {
  constants.int("CHUNK", map.chunk, "Keys of the map that a block writes.");
  constants.int("MAP_ALIGNMENT", map.alignment, "Keys to which the map's rows are padded.");
}
