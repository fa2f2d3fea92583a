import type {
  KernelPlan,
  Plan,
  TensorKeyProductProgram,
  TensorLargestProgram,
  TensorPairsProgram,
  TensorRowProductProgram,
} from "../../../../runtime/contract/index.ts";
import type { ConstantTable } from "../../model/constants.ts";
import { addStripRows } from "../../model/gradients.ts";
import { granules, ROW_COMMENT, tensorModel, threadConstants } from "./model.ts";

/** Parts of the largest entries of a head: as many as the kernel leaves that finds them. */
function partsConstant(plan: Plan, constants: ConstantTable): void {
  for (const { program } of plan.kernels)
    if (program?.kind === "tensor_largest")
      constants.int("PARTS", program.parts, "Largest entries that are known of a head: of so many parts.");
}

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
  const { of, rowBlocks, tileK, rowBytes, warps, scaled } = program;
  const ofKeys = of === "k";
  const { granules: count } = channels(plan, of);
  const constants = threadConstants(program);
  constants.int("ROW_BLOCKS", rowBlocks, "Blocks of sixteen rows of a warp.");
  constants.int("TILE_Q", warps * 16 * rowBlocks, "Rows of a block.");
  constants.int("TILE_K", tileK, "Keys of a block.");
  constants.int("COLUMNS", tileK, "Keys that are multiplied at a time.");
  constants.int("D_STEPS", count / 2, "Sixteen channels at a time.");
  constants.int("ROW_CHUNKS", count, "Blocks of eight channels.");
  constants.int("ROW_BYTES", rowBytes, ROW_COMMENT);
  constants.int("K_ROW_BYTES", rowBytes);
  constants.int("Q_ROW_BYTES", rowBytes);
  constants.int("Q_AT", tileK * rowBytes, "Rows lie behind the keys.");
  if (scaled) partsConstant(plan, constants);
  if (!ofKeys) addStripRows(constants, plan.pipeline);
  return {
    ...tensorModel(plan, kernel, {
      purpose: [
        ofKeys
          ? "Scores of a strip of query rows: map[head][row][key] = scale * q . k where visible, else 0."
          : "The gradient of the weights: map[head][row][key] = that of their result . v where visible, else 0.",
        ...(scaled ? [SCALED] : []),
      ],
      constants,
      blocksPerSm: 2,
    }),
    ofKeys,
    scaled,
    // Rows around the tile, copies of the keys, queries in registers: nothing that scores of a forward pass may want.
    haloRows: false,
    halo: false,
    folded: false,
    skips: false,
    queriesInRegisters: false,
  };
}

/** The model of `templates/cuda/tensor/row_product.cu.hbs`. */
export function tensorRowProductModel(plan: Plan, kernel: KernelPlan, program: TensorRowProductProgram) {
  const { of, rowBlocks, tileK, rowBytes, warps, scaled } = program;
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
  if (scaled) partsConstant(plan, constants);
  if (!ofKeys) addStripRows(constants, plan.pipeline);
  return {
    ...tensorModel(plan, kernel, {
      purpose: [
        ofKeys
          ? "The gradient of the queries: scale * that of the scores times the keys."
          : "The strip's weights times the values: what the output's stages are given.",
        ...(scaled ? [SCALED] : []),
      ],
      constants,
      blocksPerSm: 1,
    }),
    ofKeys,
    scaled,
    variable: of,
  };
}

/** The model of `templates/cuda/tensor/key_product.cu.hbs`. */
export function tensorKeyProductModel(plan: Plan, kernel: KernelPlan, program: TensorKeyProductProgram) {
  const { of, tileQ, rowBytes, warps, scaled } = program;
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
  if (scaled) partsConstant(plan, constants);
  if (!ofKeys) addStripRows(constants, plan.pipeline);
  return {
    ...tensorModel(plan, kernel, {
      purpose: [
        ofKeys
          ? "Adds what the strip's rows give to the gradient of the keys: scale * that of the scores, transposed, times the queries."
          : "Adds what the strip's rows give to the gradient of the values: the weights, transposed, times that of their results.",
        ...(scaled ? [SCALED] : []),
      ],
      constants,
      blocksPerSm: 1,
    }),
    ofKeys,
    scaled,
    /** Whether it is the map that holds gradients. */
    mapScaled: scaled && ofKeys,
    result: ofKeys ? "d_k" : "d_v",
  };
}

/** The model of `templates/cuda/tensor/largest.cu.hbs`. */
export function tensorLargestModel(plan: Plan, kernel: KernelPlan, program: TensorLargestProgram) {
  const ofMap = program.of === "map";
  const constants = threadConstants(program);
  constants.int(
    "PARTS",
    program.parts,
    "Blocks that share a head's rows, each of which leaves its largest entry.",
  );
  if (!ofMap) addStripRows(constants, plan.pipeline);
  return {
    ...tensorModel(plan, kernel, {
      purpose: [
        `The largest entries of the strip's gradients of ${ofMap ? "scores" : "results"}: f16 holds them scaled.`,
      ],
      constants,
      blocksPerSm: null,
    }),
    ofMap,
  };
}
