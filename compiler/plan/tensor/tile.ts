import {
  type ConvStage,
  type Finish,
  hasMask,
  type Pipeline,
  type TensorTileProgram,
} from "../../../runtime/contract/index.ts";
import type { CudaArchitecture } from "../architectures.ts";
import { doesNotFit, type Fitted } from "../fit.ts";
import { type LinearStage, toeplitzGeometry, toeplitzIllegal } from "./support.ts";

export interface TileKnobs {
  readonly rowBlocks: number;
  readonly tileK: number;
  readonly queriesInRegisters: boolean;
  readonly taps: "registers" | "shared";
  readonly precision: "f16" | "exact";
}

export interface TileRequest {
  readonly source: TensorTileProgram["source"];
  readonly sink: TensorTileProgram["sink"];
  readonly conv: LinearStage | null;
  readonly before: Finish;
  readonly finish: Finish;
  /** Keys that one block writes, where it writes a map. */
  readonly chunk: number;
}

const WARPS = 4;
const THREADS = WARPS * 32;
/** Registers that the kernels need beside fragments: addresses, bounds, loop counters (from ptxas reports). */
const OTHER_REGISTERS = 44;
/**
 * And what loads of documents or biases take, some pairs at a time, beside a part of a tile's pairs; what softcaps take; what copying
 * tiles of maps takes. Upper bounds: a plan that spills is worse than a smaller tile.
 */
const DOCUMENT_REGISTERS = 28;
const BIAS_REGISTERS = 32;
const SOFTCAP_REGISTERS = 48;
/** Scores of a whole step at a time. */
const WIDE_COLUMNS_REGISTERS = 48;
const SOURCE_REGISTERS: Readonly<Record<TensorTileProgram["source"], number>> = {
  dot: 0,
  map: 20,
  weights: 52,
};
/** Of 255: estimates are a few registers off. */
const MOST_REGISTERS = 254;

/** Bytes of a row of `elements` 16-bit elements in shared memory: an odd number of 16-byte units, so that ldmatrix meets no bank twice. */
export function paddedRow(elements: number): number {
  return Math.ceil(elements / 16) * 32 + 16;
}

/** One tile kernel with given knobs, or the limit that it breaks. */
export function fitTile(
  pipeline: Pipeline,
  architecture: CudaArchitecture,
  request: TileRequest,
  knobs: TileKnobs,
): Fitted<TensorTileProgram> {
  const { source, sink } = request;
  const { rowBlocks, tileK, queriesInRegisters, taps } = knobs;
  const exact = request.conv !== null && knobs.precision === "exact";
  const stage = request.conv === null ? null : (request.conv.stage as ConvStage);
  if (stage !== null) {
    const illegal = toeplitzIllegal(stage);
    if (illegal !== null) return doesNotFit(illegal);
  }
  const geometry = stage === null ? null : toeplitzGeometry(stage);
  const haloPast = geometry?.haloPast ?? 0;
  const haloFuture = geometry?.haloFuture ?? 0;
  const halo = haloPast + haloFuture;
  const distances = geometry === null ? 0 : geometry.granulesLeft + geometry.granulesRight + 1;
  const carried = Math.max(0, distances - 1);
  const pairs = stage === null ? 0 : Math.ceil(stage.kernel.query / 2);
  // Queries are read again for each of these: all keys of the step where nothing else needs the registers.
  const columns = sink === "map" ? tileK : Math.min(tileK, rowBlocks === 1 || !queriesInRegisters ? 32 : 16);

  const values = sink === "attention" || sink === "product";
  const tileQ = WARPS * 16 * rowBlocks;
  const fragments = {
    results: values ? rowBlocks * Math.ceil(pipeline.valueDim / 16) * 8 : 0,
    scores: rowBlocks * (tileK / 8 + carried) * 4,
    carried: rowBlocks * carried * 4,
    taps: taps === "registers" ? pairs * distances * (exact ? 4 : 2) : 0,
    made: source === "dot" && stage !== null ? rowBlocks * (columns / 8) * 4 + rowBlocks * 4 : 0,
    queries: queriesInRegisters ? rowBlocks * Math.ceil(pipeline.headDim / 16) * 4 : 0,
    softmax: sink === "map" ? 0 : rowBlocks * 4,
  };
  const pairs16 = (rowBlocks * tileK) / 2;
  const masks =
    (hasMask(pipeline, "documents") ? DOCUMENT_REGISTERS + pairs16 : 0) +
    (hasMask(pipeline, "bias") ? BIAS_REGISTERS + pairs16 : 0);
  const softcaps = request.before.softcaps.length + request.finish.softcaps.length;
  const registers =
    OTHER_REGISTERS +
    masks +
    (softcaps > 0 ? SOFTCAP_REGISTERS : 0) +
    SOURCE_REGISTERS[source] +
    (source === "dot" && sink === "map" ? WIDE_COLUMNS_REGISTERS : 0) +
    (sink === "product" ? 4 : 0) +
    fragments.results +
    fragments.taps +
    fragments.queries +
    fragments.softmax +
    Math.max(fragments.scores + 4, fragments.made + fragments.carried);
  const gate = gateRegisters(pipeline);
  if (values && fragments.results + gate > MOST_REGISTERS)
    return doesNotFit(
      `its gate needs about ${fragments.results + gate} registers a thread, of ${MOST_REGISTERS}`,
    );
  if (registers > MOST_REGISTERS)
    return doesNotFit(
      `needs about ${registers} registers a thread, more than the ${MOST_REGISTERS} that never spill`,
    );

  const keyRow = paddedRow(pipeline.headDim);
  const valueRow = paddedRow(pipeline.valueDim);
  let at = 0;
  const place = (bytes: number): number => {
    if (bytes === 0) return -1;
    const here = at;
    at += bytes;
    return here;
  };
  const dot = source === "dot";
  const queryBytes = dot ? tileQ * keyRow : 0;
  const k = place(dot ? tileK * keyRow : 0);
  const v = place(dot && values ? 2 * tileK * valueRow : 0);
  // Queries that move to registers pass through the keys' place.
  let q = 0;
  if (!queriesInRegisters) q = place(queryBytes);
  else at = Math.max(at, queryBytes);
  const haloAt = place(dot ? halo * keyRow : 0);
  const scores = place(stage === null ? 0 : (tileQ + halo) * (tileK * 2 + 16) * (exact ? 2 : 1));
  const tapsAt = place(taps === "shared" ? pairs * distances * 256 : 0);
  if (at > architecture.sharedBytesPerBlock) {
    return doesNotFit(
      `needs ${at} bytes of shared memory, ${at - architecture.sharedBytesPerBlock} more than a block has`,
    );
  }
  const byShared = Math.floor(architecture.sharedBytesPerSm / (at + 1024));
  const byRegisters = Math.floor(architecture.registersPerSm / (Math.ceil(registers / 8) * 8 * THREADS));
  return {
    fits: true,
    value: {
      kind: "tensor_tile",
      source,
      sink,
      rowBlocks,
      warps: WARPS,
      tileK,
      columns,
      queriesInRegisters,
      conv:
        request.conv === null || geometry === null
          ? null
          : {
              stage: request.conv.index,
              granulesLeft: geometry.granulesLeft,
              granulesRight: geometry.granulesRight,
              taps,
              precision: knobs.precision,
            },
      haloPast,
      haloFuture,
      before: request.before,
      finish: request.finish,
      chunk: request.chunk,
      blocksPerSm: Math.max(1, Math.min(2, byShared, byRegisters)),
      splits: sink === "attention",
      sharedBytes: at,
      places: { k, v, q: dot ? q : -1, halo: haloAt, scores, taps: tapsAt },
    },
  };
}

/** Registers beside the results that the gate of all channels takes: packed results, logits, addresses. */
export function gateRegisters(pipeline: Pipeline): number {
  const channels = pipeline.output.some((stage) => stage.kind === "gate" && stage.mode === "channel");
  return channels ? Math.ceil(pipeline.valueDim / 16) * 4 + 66 : 0;
}

/** What the planner may vary of a tile kernel. */
export function tileMenu(request: TileRequest): TileKnobs[] {
  const menu: TileKnobs[] = [];
  for (const rowBlocks of [1, 2]) {
    for (const tileK of [64, 32]) {
      for (const queriesInRegisters of request.source === "dot" ? [false, true] : [false]) {
        for (const taps of request.conv === null
          ? (["registers"] as const)
          : (["registers", "shared"] as const)) {
          menu.push({ rowBlocks, tileK, queriesInRegisters, taps, precision: "f16" });
          if (
            request.source === "dot" &&
            request.sink === "attention" &&
            request.conv !== null &&
            taps === "registers"
          )
            menu.push({ rowBlocks, tileK, queriesInRegisters, taps, precision: "exact" });
        }
      }
    }
  }
  return menu;
}
