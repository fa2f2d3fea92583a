import type { Pipeline, TensorMixProgram, TensorProductProgram } from "../../../runtime/contract/index.ts";
import { doesNotFit, type Fitted, fits, memoryFault } from "../fit.ts";
import type { MixOp } from "../graph.ts";
import type { GpuTask } from "../machine.ts";
import { WARP } from "../work.ts";
import { gateRegisters } from "./registers.ts";
import { mapWrite, tileRows } from "./support.ts";
import { blocksPerSm, paddedRow } from "./tile.ts";

/** Keys of a step of the mix kernel, and bytes of a head's keys in shared memory. */
const MIX_STEP = 64;
const MIX_ROW_BYTES = MIX_STEP * 2 + 16;
/** Rows that one warp mixes, one after the other. */
const MIX_ROWS_PER_WARP = 2;
const MIX_WARPS = 4;
/** Most blocks of sixteen input heads: four registers each, and shared memory. */
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

/** The mix of a map's heads, or why it cannot be. */
export function fitMix(
  pipeline: Pipeline,
  { stage, index }: MixOp,
  options: Pick<TensorMixProgram, "source" | "finish" | "normalizes">,
): Fitted<TensorMixProgram> {
  const chunks = inputChunks(pipeline.heads, stage.group);
  if (chunks > MOST_INPUT_CHUNKS)
    return doesNotFit(
      `${stage.name} mixes ${stage.group} heads, more than the ${MOST_INPUT_CHUNKS * 16} that fit registers`,
    );
  return fits({
    kind: "tensor_mix",
    stage: index,
    source: options.source,
    finish: options.finish,
    normalizes: options.normalizes,
    warps: MIX_WARPS,
    rowsPerWarp: MIX_ROWS_PER_WARP,
    step: MIX_STEP,
    inputChunks: chunks,
    map: mapWrite(pipeline),
    sharedBytes: MIX_WARPS * 2 * chunks * 16 * MIX_ROW_BYTES,
    rowBytes: MIX_ROW_BYTES,
  });
}

const PRODUCT_WARPS = 4;
const PRODUCT_TILE_K = 64;
/** Registers beside the results. */
const PRODUCT_REGISTERS = 60;

/** The product of a map with v and the output's stages, or the limit that it breaks. */
export function fitProduct(
  { pipeline, machine }: GpuTask,
  { source, rowBlocks }: Pick<TensorProductProgram, "source" | "rowBlocks">,
): Fitted<TensorProductProgram> {
  const results = rowBlocks * Math.ceil(pipeline.valueDim / 16) * 8;
  const registers = results + Math.max(PRODUCT_REGISTERS + rowBlocks * 6, gateRegisters(pipeline));
  if (registers > 250) return doesNotFit(`product: needs about ${registers} registers a thread, of 255`);
  const rowBytes = { weights: paddedRow(PRODUCT_TILE_K), values: paddedRow(pipeline.valueDim) };
  const tileQ = tileRows({ warps: PRODUCT_WARPS, rowBlocks });
  const sharedBytes = 2 * (tileQ * rowBytes.weights + PRODUCT_TILE_K * rowBytes.values);
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
