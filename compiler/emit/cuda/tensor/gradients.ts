import {
  adjointReach,
  type ConvStage,
  convReach,
  type KernelPlan,
  type MixStage,
  type Plan,
  type StageIndex,
  sourceKeys,
  type TensorConvGradientProgram,
  type TensorConvProgram,
  type TensorKeyProductProgram,
  type TensorLargestProgram,
  type TensorMapMixProgram,
  type TensorMixGradientProgram,
  type TensorPairsProgram,
  type TensorRowProductProgram,
} from "../../../../runtime/contract/index.ts";
import type { ConstantTable } from "../../model/constants.ts";
import { addStripRows, recordsConstants, scaleConstants } from "../../model/gradients.ts";
import { describe, linearStage, parameterAt } from "../../model/stages.ts";
import { granules, ofHead, ROW_COMMENT, tensorModel, threadConstants, weightConstant } from "./model.ts";

/** Channels of rows of keys or values: blocks of eight, two at a time. */
function channels({ pipeline }: Plan, of: "k" | "v"): { readonly name: string; readonly granules: number } {
  return of === "k"
    ? { name: "HEAD_DIM", granules: granules(pipeline.headDim) }
    : { name: "VALUE_DIM", granules: granules(pipeline.valueDim) };
}

const SCALED =
  "A factor of gradients is multiplied by a power of two before it is rounded, the result divided by it.";

/** The model of `templates/cuda/tensor/pairs.cu.hbs`. */
export function tensorPairsModel(plan: Plan, kernel: KernelPlan, program: TensorPairsProgram) {
  const { of, rowBlocks, tileK, blockKeys, rowBytes, warps, scale, records } = program;
  const ofKeys = of === "k";
  const { name, granules: count } = channels(plan, of);
  const constants = threadConstants(program);
  constants.int("ROW_BLOCKS", rowBlocks, "Blocks of sixteen rows of a warp.");
  constants.int("TILE_Q", warps * 16 * rowBlocks, "Rows of a block.");
  constants.int("TILE_K", tileK, "Keys of a step.");
  constants.int("BLOCK_KEYS", blockKeys, "Keys of a block.");
  constants.int("COLUMNS", tileK, "Keys that are multiplied at a time.");
  constants.int("D_STEPS", count / 2, "Sixteen channels at a time.");
  constants.int("ROW_CHUNKS", count, "Blocks of eight channels.");
  constants.int("ROW_BYTES", rowBytes, ROW_COMMENT);
  constants.int("K_ROW_BYTES", rowBytes);
  constants.int("Q_ROW_BYTES", rowBytes);
  constants.int("STAGE_BYTES", "TILE_K * K_ROW_BYTES");
  constants.int("Q_AT", "2 * STAGE_BYTES", "Rows lie behind the keys of two steps.");
  if (scale !== null) scaleConstants(constants, scale);
  recordsConstants(constants, records);
  if (!ofKeys) addStripRows(constants, plan.pipeline);
  return {
    ...tensorModel(plan, kernel, {
      purpose: [
        ofKeys
          ? "Scores of a strip of query rows: map[head][row][key] = scale * q . k where visible, else 0."
          : "The gradient of the weights: map[head][row][key] = that of their result . v where visible, else 0.",
        ...(scale === null ? [] : [SCALED]),
      ],
      constants,
      // More warps have fewer registers each.
      blocksPerSm: warps > 4 ? 1 : 2,
    }),
    ofKeys,
    scaled: scale !== null,
    records: records !== undefined,
    channels: name,
    variable: of,
    // What is not scaled may have squares that f32 does not hold.
    squares: scale !== null && records !== undefined,
    // Rows around the tile, copies of the keys, queries in registers: nothing that scores of a forward pass may want.
    around: false,
    halo: false,
    folded: false,
    skips: false,
    queriesInRegisters: false,
  };
}

/** The model of `templates/cuda/tensor/row_product.cu.hbs`. */
export function tensorRowProductModel(plan: Plan, kernel: KernelPlan, program: TensorRowProductProgram) {
  const { of, rowBlocks, tileK, rowBytes, warps, scale } = program;
  const ofKeys = of === "k";
  const { name, granules: count } = channels(plan, of);
  const constants = threadConstants(program);
  constants.int("ROW_BLOCKS", rowBlocks, "Blocks of sixteen rows of a warp.");
  constants.int("TILE_Q", warps * 16 * rowBlocks, "Rows of a block.");
  constants.int("TILE_K", tileK, "Keys of a step.");
  constants.int("CHANNELS", name, "Channels of a row.");
  constants.int("VALUE_GRANULES", count, "Blocks of eight channels.");
  constants.int("V_ROW_BYTES", rowBytes, ROW_COMMENT);
  constants.int("STAGE_BYTES", "TILE_K * V_ROW_BYTES");
  if (scale !== null) scaleConstants(constants, scale);
  if (!ofKeys) addStripRows(constants, plan.pipeline);
  return {
    ...tensorModel(plan, kernel, {
      purpose: [
        ofKeys
          ? "The gradient of the queries: scale * that of the scores times the keys."
          : "The strip's weights times the values: what the output's stages are given.",
        ...(scale === null ? [] : [SCALED]),
      ],
      constants,
      blocksPerSm: 1,
    }),
    ofKeys,
    scaled: scale !== null,
    variable: of,
    /** Whether sums of two blocks of rows fill the registers. */
    crowded: rowBlocks > 1,
  };
}

/** The model of `templates/cuda/tensor/key_product.cu.hbs`. */
export function tensorKeyProductModel(plan: Plan, kernel: KernelPlan, program: TensorKeyProductProgram) {
  const { of, tileQ, rowBytes, warps, scale } = program;
  const ofKeys = of === "k";
  const { name, granules: count } = channels(plan, of);
  const constants = threadConstants(program);
  constants.int("TILE_Q", tileQ, "Rows of a step.");
  constants.int("TILE_K", warps * 32, "Keys of a block: 32 a warp.");
  constants.int("CHANNELS", name, "Channels of a row.");
  constants.int("CHANNEL_BLOCKS", count / 2, "Blocks of sixteen channels.");
  constants.int("ROW_CHUNKS", count, "Blocks of eight channels.");
  constants.int("ROW_BYTES", rowBytes, ROW_COMMENT);
  constants.int("STAGE_BYTES", "TILE_Q * ROW_BYTES");
  constants.int("KEY_HEADS", plan.pipeline.kvHeads, "Heads of keys and values.");
  if (scale !== null) scaleConstants(constants, scale);
  if (!ofKeys) addStripRows(constants, plan.pipeline);
  return {
    ...tensorModel(plan, kernel, {
      purpose: [
        ofKeys
          ? "Adds what the strip's rows give to the gradient of the keys: scale * that of the scores, transposed, times the queries."
          : "Adds what the strip's rows give to the gradient of the values: the weights, transposed, times that of their results.",
        ...(scale === null ? [] : [SCALED]),
      ],
      constants,
      blocksPerSm: 1,
    }),
    ofKeys,
    scaled: scale !== null,
    /** Whether it is the map that holds gradients. */
    mapScaled: scale !== null && ofKeys,
    multiplies: scale !== null || ofKeys,
    result: ofKeys ? "d_k" : "d_v",
  };
}

/** The model of `templates/cuda/tensor/gradient_conv.cu.hbs`. */
export function tensorConvModel(plan: Plan, kernel: KernelPlan, program: TensorConvProgram) {
  const stage = linearStage(plan.pipeline, program.stage, "conv");
  const { adjoint, precision, scale, records, warps, tileK, blockKeys } = program;
  const { granulesLeft, granulesRight, rowBytes } = program;
  const reach = adjoint ? adjointReach(convReach(stage)) : convReach(stage);
  const constants = threadConstants(program);
  constants.int("TILE_Q", warps * 16, "Rows of a block.");
  constants.int("TILE_K", tileK, "Keys of a step.");
  constants.int("BLOCK_KEYS", blockKeys, "Keys of a block.");
  constants.int("KERNEL_QUERY", stage.kernel.query, describe(stage));
  constants.int("KERNEL_KEY", stage.kernel.key);
  constants.int("REACH_PAST", reach.past, "Rows before a row that its taps read.");
  constants.int("REACH_FUTURE", reach.future, "Rows after a row that its taps read.");
  constants.int("REACH_LEFT", reach.left, "Keys left of a key that its taps read.");
  constants.int("PAIRS", Math.ceil(stage.kernel.query / 2), "Two rows of the kernel at a time.");
  constants.int("GRANULES_LEFT", granulesLeft, "Blocks of eight keys in reach to the left.");
  constants.int(
    "DISTANCES",
    granulesLeft + granulesRight + 1,
    "Blocks of eight keys that a key's taps read.",
  );
  constants.int("SOURCE_KEYS", sourceKeys(program), "Keys of a step with those around them.");
  constants.int(
    "TAP_OFFSETS",
    "8 * DISTANCES + 6",
    "Keys from which one of eight keys may read pairs, in order.",
  );
  constants.int("S_ROWS", "TILE_Q + 2 * PAIRS - 1", "Rows of a block with those around them.");
  constants.int("S_ROW_BYTES", rowBytes, ROW_COMMENT);
  constants.int("S_BYTES", "S_ROWS * S_ROW_BYTES");
  recordsConstants(constants, records);
  factorConstants(plan, constants, program);
  weightConstant(plan, constants, stage);
  const added = stage.bias === null || adjoint ? null : stage.bias;
  if (added !== null) constants.int("BIAS_AT", parameterAt(plan, added), `${added} in parameters.`);
  return {
    ...tensorModel(plan, kernel, {
      purpose: [mapPurpose(stage, adjoint), ...precisionPurpose("banded matrices", program)],
      constants,
      blocksPerSm: 2,
    }),
    adjoint,
    scaled: scale !== null,
    records: records !== undefined,
    exact: precision === "exact",
    narrow: NARROW.below,
    kernelAt: ofHead("WEIGHT_AT", stage),
    biasAt: added === null ? "" : ofHead("BIAS_AT", stage),
  };
}

/** What a kernel does from one map to another. */
function mapPurpose(stage: ConvStage | MixStage, adjoint: boolean): string {
  return adjoint
    ? `What passes back through ${describe(stage)}: from the gradient of its result to that of its input.`
    : `${describe(stage)}, from one map of the strip to the other.`;
}

function gradientPurpose(stage: ConvStage | MixStage): string {
  return `The gradient of ${describe(stage)}: its input times that of its result, a part each block; sums are f32.`;
}

/** How entries of a map are rounded. */
type Rounding = Pick<TensorConvProgram, "precision" | "scale">;

function precisionPurpose(factor: string, { precision, scale }: Rounding): readonly string[] {
  return [
    precision === "exact"
      ? `Products with ${factor}, of entries as f16, or as pairs that hold 22 bits where some are ${NARROW.below} or more; sums are f32.`
      : `Products with ${factor}, of entries as f16; sums are f32.`,
    ...(scale === null ? [] : [SCALED]),
  ];
}

function factorConstants(plan: Plan, constants: ConstantTable, { precision, scale }: Rounding): void {
  if (scale !== null) scaleConstants(constants, scale);
  else if (precision === "exact") narrowConstant(plan, constants);
}

/** Gradients of sparsemax jump where a score leaves its support: no score is narrow. */
function narrowConstant({ pipeline }: Plan, constants: ConstantTable): void {
  const { below, toSigns, allToSigns } = NARROW;
  if (pipeline.normalize === "sparsemax")
    constants.word("TO_SIGNS", allToSigns, "Carries exponents of all but zeros into signs.");
  else constants.word("TO_SIGNS", toSigns, `Carries exponents of ${below} and more into signs.`);
}

/** Whether a stage is given what the softmax gives: weights of at most one. What other stages give may be beyond f16. */
function isBounded({ section, index }: StageIndex): boolean {
  return section === "weights" && index === 0;
}

/** Scores that f16 holds to a five-hundredth: what it would add to the error of a gradient is less than what rounding q and k does. */
const NARROW = { below: 8, toSigns: 0x38003800, allToSigns: 0x7c007c00 } as const;

/** Scores that have less in common lose nothing by it: f16 rounds gradients to a two-thousandth. */
const LARGE_SCORE = 16;

/** The model of `templates/cuda/tensor/conv_gradient.cu.hbs`. */
export function tensorConvGradientModel(plan: Plan, kernel: KernelPlan, program: TensorConvGradientProgram) {
  const stage = linearStage(plan.pipeline, program.stage, "conv");
  const { past, future, left } = convReach(stage);
  const { scale, warps, rowBlocks, tileK, blockKeys, granulesLeft, granulesRight, rowBytes } = program;
  const constants = threadConstants(program);
  scaleConstants(constants, scale);
  constants.int("ROW_BLOCKS", rowBlocks, "Blocks of sixteen rows of a warp.");
  constants.int("TILE_Q", warps * 16 * rowBlocks, "Rows of a step.");
  constants.int("TILE_K", tileK, "Keys of a step.");
  constants.int("BLOCK_KEYS", blockKeys, "Keys of a block.");
  constants.int("KERNEL_QUERY", stage.kernel.query, describe(stage));
  constants.int("KERNEL_KEY", stage.kernel.key);
  constants.int("REACH_PAST", past, "Rows before a row that its taps read.");
  constants.int("REACH_FUTURE", future, "Rows after a row that its taps read.");
  constants.int("REACH_LEFT", left, "Keys left of a key that its taps read.");
  constants.int("PAIRS", Math.ceil(stage.kernel.query / 2), "Two rows of the kernel at a time.");
  constants.int("GRANULES_LEFT", granulesLeft, "Blocks of eight keys in reach to the left.");
  constants.int(
    "DISTANCES",
    granulesLeft + granulesRight + 1,
    "Blocks of eight keys that a key's taps read.",
  );
  constants.int("SOURCE_KEYS", sourceKeys(program), "Keys of a step with those around them.");
  constants.int("D_ROWS", "TILE_Q + 2 * PAIRS - 1", "Rows that read those of a step.");
  constants.int("D_ROW_BYTES", rowBytes.d, ROW_COMMENT);
  constants.int("S_ROW_BYTES", rowBytes.source);
  constants.int("S_AT", "D_ROWS * D_ROW_BYTES");
  const ofWeights = program.stage.section === "weights";
  if (!ofWeights)
    constants.float("LARGE_SCORE", LARGE_SCORE, "What scores have in common is worth a look from here on.");
  return {
    ...tensorModel(plan, kernel, {
      purpose: [gradientPurpose(stage), SCALED],
      constants,
      blocksPerSm: 2,
    }),
    biasParts: stage.bias !== null,
    ofWeights,
    bounded: isBounded(program.stage),
  };
}

/** Heads that a kernel mixes in one fragment. */
function mixConstants(constants: ConstantTable, stage: MixStage, heads: number): void {
  constants.int("GROUP", stage.group, describe(stage));
  constants.int("BLOCK_HEADS", heads, "Heads of a block: whole groups, in one fragment.");
}

/** The model of `templates/cuda/tensor/gradient_mix.cu.hbs`. */
export function tensorMapMixModel(plan: Plan, kernel: KernelPlan, program: TensorMapMixProgram) {
  const stage = linearStage(plan.pipeline, program.stage, "mix");
  const { adjoint, precision, scale, records } = program;
  const constants = threadConstants(program);
  constants.int("TILE_Q", program.tileQ, "Rows of a block.");
  constants.int("BLOCK_KEYS", program.blockKeys, "Keys of a block.");
  mixConstants(constants, stage, program.heads);
  weightConstant(plan, constants, stage);
  recordsConstants(constants, records);
  factorConstants(plan, constants, program);
  return {
    ...tensorModel(plan, kernel, {
      purpose: [mapPurpose(stage, adjoint), ...precisionPurpose("fragments of the mix", program)],
      constants,
      blocksPerSm: null,
    }),
    adjoint,
    scaled: scale !== null,
    records: records !== undefined,
    exact: precision === "exact",
    narrow: NARROW.below,
  };
}

/** The model of `templates/cuda/tensor/mix_gradient.cu.hbs`. */
export function tensorMixGradientModel(plan: Plan, kernel: KernelPlan, program: TensorMixGradientProgram) {
  const stage = linearStage(plan.pipeline, program.stage, "mix");
  const constants = threadConstants(program);
  scaleConstants(constants, program.scale);
  constants.int("BLOCK_KEYS", program.blockKeys, "Keys of a block.");
  mixConstants(constants, stage, program.heads);
  const ofWeights = program.stage.section === "weights";
  if (!ofWeights) narrowConstant(plan, constants);
  return {
    ...tensorModel(plan, kernel, {
      purpose: [gradientPurpose(stage), SCALED],
      constants,
      blocksPerSm: null,
    }),
    ofWeights,
    // Scores beyond f16 are looked at once they are known to be large.
    unbounded: ofWeights && !isBounded(program.stage),
  };
}

/** Threads that read a line of memory, 128 bytes, sixteen bytes each. */
const ROW_TEAM = 8;

/** The model of `templates/cuda/tensor/largest.cu.hbs`. */
export function tensorLargestModel(plan: Plan, kernel: KernelPlan, program: TensorLargestProgram) {
  const constants = threadConstants(program);
  constants.int("PARTS", program.parts, "Blocks that share a head's rows.");
  constants.int("TEAM", ROW_TEAM, "Neighbouring threads that share a row.");
  recordsConstants(constants, program.records);
  return tensorModel(plan, kernel, {
    purpose: ["The largest of the strip's gradients: f16 holds them scaled."],
    constants,
    blocksPerSm: null,
  });
}
