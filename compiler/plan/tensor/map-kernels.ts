import {
  type Finish,
  hasMask,
  type MixStage,
  type Pipeline,
  type TensorMixProgram,
  type TensorProductProgram,
} from "../../../runtime/contract/index.ts";
import { doesNotFit, type Fitted, fits, memoryFault } from "../fit.ts";
import type { MixOp } from "../graph.ts";
import type { GpuTask } from "../machine.ts";
import { WARP } from "../work.ts";
import { mixReferences } from "./references.ts";
import { gateRegisters } from "./registers.ts";
import { blocksPerSm, paddedRow } from "./tile.ts";

/** Rows that one warp mixes, one after the other. */
const MIX_ROWS_PER_WARP = 4;
const MIX_WARPS = 4;
/** Blocks of a multiprocessor that it is compiled for: 128 registers a thread suffice a tame one, at ease. */
const MIX_BLOCKS = { tame: 4, other: 2 } as const;
/** Most blocks of sixteen input heads: eight registers each, and four for what their rows keep. */
const MOST_INPUT_CHUNKS = 8;

/** Blocks of sixteen input heads that sixteen output heads read: whole groups around them. */
function inputChunks(heads: number, group: number): number {
  let most = 1;
  for (let first = 0; first < heads; first += 16) {
    const begin = Math.floor(first / group) * group;
    const end = Math.min(heads, Math.ceil(Math.min(first + 16, heads) / group) * group);
    most = Math.max(most, Math.ceil((end - begin) / 16));
  }
  return most;
}

/** Whether a mix holds little more than its fragments: whole blocks of heads of one group each, nothing to test, nothing that follows. */
function isTame(pipeline: Pipeline, { group }: MixStage, { pointwise }: Finish): boolean {
  const tested = hasMask(pipeline, "bias") || hasMask(pipeline, "documents");
  return group === 16 && pipeline.heads % 16 === 0 && !tested && pointwise.length === 0;
}

/** How a mix that ends the scores comes to exponentials. A bias or a stage after the mix takes scores as they are. */
function mixSoftmax(pipeline: Pipeline, { pointwise, mask }: Finish): TensorMixProgram["softmax"] {
  if (mask !== "hide") return null;
  return pointwise.length === 0 && !hasMask(pipeline, "bias") ? "sum" : "after";
}

/** The mix of a map's heads, or why it cannot be. */
export function fitMix(
  pipeline: Pipeline,
  { stage, index }: MixOp,
  { source, finish }: Pick<TensorMixProgram, "source" | "finish">,
): Fitted<TensorMixProgram> {
  const chunks = inputChunks(pipeline.heads, stage.group);
  if (chunks > MOST_INPUT_CHUNKS)
    return doesNotFit(
      `${stage.name} mixes ${stage.group} heads, more than the ${MOST_INPUT_CHUNKS * 16} that fit registers`,
    );
  return fits({
    kind: "tensor_mix",
    stage: index,
    source,
    finish,
    references: index.section === "scores" ? mixReferences(pipeline) : null,
    softmax: mixSoftmax(pipeline, finish),
    warps: MIX_WARPS,
    rowsPerWarp: MIX_ROWS_PER_WARP,
    inputChunks: chunks,
    blocksPerSm: isTame(pipeline, stage, finish) ? MIX_BLOCKS.tame : MIX_BLOCKS.other,
  });
}

const PRODUCT_WARPS = 4;
const PRODUCT_TILE_K = 64;
/** Registers beside the results. */
const PRODUCT_REGISTERS = 70;
/** And a block of sixteen rows: weights of a step, where the rows lie. */
const PRODUCT_ROW_REGISTERS = 20;
/** More at times where weights are made of scores on the way: two blocks of rows with 128 results each would spill. */
const WEIGHING_REGISTERS = 16;

/** The product of a map with v and the output's stages, or the limit that it breaks. */
export function fitProduct(
  { pipeline, machine }: GpuTask,
  { source, rowBlocks }: Pick<TensorProductProgram, "source" | "rowBlocks">,
): Fitted<TensorProductProgram> {
  const results = rowBlocks * Math.ceil(pipeline.valueDim / 16) * 8;
  const registers =
    results + Math.max(PRODUCT_REGISTERS + rowBlocks * PRODUCT_ROW_REGISTERS, gateRegisters(pipeline));
  const most = registers + (source === "scores" ? WEIGHING_REGISTERS : 0);
  if (most > 250) return doesNotFit(`product: needs about ${most} registers a thread, of 255`);
  const rowBytes = paddedRow(pipeline.valueDim);
  const sharedBytes = 2 * PRODUCT_TILE_K * rowBytes;
  const fault = memoryFault(machine, sharedBytes);
  if (fault !== null) return doesNotFit(`product: ${fault}`);
  return fits({
    kind: "tensor_product",
    source,
    rowBlocks,
    warps: PRODUCT_WARPS,
    tileK: PRODUCT_TILE_K,
    blocksPerSm: blocksPerSm(machine, { threads: PRODUCT_WARPS * WARP, sharedBytes, registers }),
    sharedBytes,
    rowBytes,
  });
}
