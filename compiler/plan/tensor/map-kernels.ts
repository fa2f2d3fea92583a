import type {
  Finish,
  Pipeline,
  TensorMixProgram,
  TensorProductProgram,
} from "../../../runtime/contract/index.ts";
import type { CudaArchitecture } from "../architectures.ts";
import { doesNotFit, type Fitted } from "../fit.ts";
import type { MixOp } from "../graph.ts";
import { gateRegisters } from "./registers.ts";
import { mapWrite } from "./support.ts";
import { paddedRow } from "./tile.ts";

export const STATISTICS_WARPS = 4;

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

export function fitMix(
  pipeline: Pipeline,
  op: MixOp,
  options: {
    readonly source: TensorMixProgram["source"];
    readonly finish: Finish;
    readonly normalizes: boolean;
  },
): Fitted<{
  readonly program: TensorMixProgram;
  readonly rowsPerBlock: number;
  readonly headBlocks: number;
}> {
  const chunks = inputChunks(pipeline.heads, op.stage.group);
  if (chunks > MOST_INPUT_CHUNKS) {
    return doesNotFit(
      `${op.stage.name} mixes ${op.stage.group} heads, more than the ${MOST_INPUT_CHUNKS * 16} that fit registers`,
    );
  }
  return {
    fits: true,
    value: {
      program: {
        kind: "tensor_mix",
        stage: op.index,
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
      },
      rowsPerBlock: MIX_WARPS * MIX_ROWS_PER_WARP,
      headBlocks: Math.ceil(pipeline.heads / 16),
    },
  };
}

const PRODUCT_WARPS = 4;
const PRODUCT_TILE_K = 64;
/** Registers beside the results. */
const PRODUCT_REGISTERS = 60;

export function fitProduct(
  pipeline: Pipeline,
  architecture: CudaArchitecture,
  options: { readonly source: TensorProductProgram["source"]; readonly rowBlocks: number },
): Fitted<TensorProductProgram> {
  const { rowBlocks } = options;
  const results = rowBlocks * Math.ceil(pipeline.valueDim / 16) * 8;
  const registers = results + Math.max(PRODUCT_REGISTERS + rowBlocks * 6, gateRegisters(pipeline));
  if (registers > 250) return doesNotFit(`product: needs about ${registers} registers a thread, of 255`);
  const tileQ = PRODUCT_WARPS * 16 * rowBlocks;
  const rowBytes = { weights: paddedRow(PRODUCT_TILE_K), values: paddedRow(pipeline.valueDim) };
  const sharedBytes = 2 * (tileQ * rowBytes.weights + PRODUCT_TILE_K * rowBytes.values);
  if (sharedBytes > architecture.sharedBytesPerBlock) {
    return doesNotFit(
      `product: needs ${sharedBytes} bytes of shared memory, ${sharedBytes - architecture.sharedBytesPerBlock} more than a block has`,
    );
  }
  const resident = Math.min(
    2,
    Math.floor(architecture.sharedBytesPerSm / (sharedBytes + 1024)),
    Math.floor(architecture.registersPerSm / (registers * PRODUCT_WARPS * 32)),
  );
  return {
    fits: true,
    value: {
      kind: "tensor_product",
      source: options.source,
      rowBlocks,
      warps: PRODUCT_WARPS,
      tileK: PRODUCT_TILE_K,
      blocksPerSm: Math.max(1, resident),
      sharedBytes,
      rowBytes,
    },
  };
}
