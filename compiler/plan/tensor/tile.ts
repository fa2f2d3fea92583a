import { convReach, type Pipeline, type TensorTileProgram } from "../../../runtime/contract/index.ts";
import type { CudaArchitecture } from "../architectures.ts";
import { doesNotFit, type Fitted } from "../fit.ts";
import { NO_REACH } from "../graph.ts";
import { MOST_REGISTERS, tileRegisters } from "./registers.ts";
import {
  INNER_STEP,
  innerMargin,
  mapWrite,
  sourcesEndWithKeys,
  toeplitzGeometry,
  toeplitzIllegal,
} from "./support.ts";
import type { TileKnobs, TileRequest } from "./tile-request.ts";

export type { TileKnobs, TileRequest } from "./tile-request.ts";

const WARPS = 4;
const THREADS = WARPS * 32;
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
  const stage = request.conv?.stage ?? null;
  if (stage !== null) {
    const illegal = toeplitzIllegal(stage);
    if (illegal !== null) return doesNotFit(illegal);
  }
  const geometry = stage === null ? null : toeplitzGeometry(stage);
  const folded = request.folded?.stage ?? null;
  const convolved = folded ?? stage;
  const foldedReach = folded === null ? null : convReach(folded);
  const haloPast = foldedReach?.past ?? geometry?.haloPast ?? 0;
  const haloFuture = foldedReach?.future ?? geometry?.haloFuture ?? 0;
  const halo = haloPast + haloFuture;
  const distances = geometry === null ? 0 : geometry.granulesLeft + geometry.granulesRight + 1;
  const carried = Math.max(0, distances - 1);
  const pairs = stage === null ? 0 : Math.ceil(stage.kernel.query / 2);
  // Queries are read again for each of these: all keys of the step where nothing else needs the registers.
  const columns = sink === "map" ? tileK : Math.min(tileK, rowBlocks === 1 || !queriesInRegisters ? 32 : 16);

  const values = sink === "attention" || sink === "product";
  // The last step's results trail its scores: its values are one tile.
  const tail = Math.ceil((geometry?.granulesRight ?? 0) / 2) * 16;
  if (values && tail > tileK) {
    return doesNotFit(
      `${request.conv?.stage.name} reads ${geometry?.reach.right} keys to the right, more than a step of ${tileK} holds`,
    );
  }
  const tileQ = WARPS * 16 * rowBlocks;
  const registers = tileRegisters(pipeline, request, knobs, { columns, carried, taps: pairs * distances });
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
  // Folded keys meet shifted queries: their halo's rows lie around the tile's, others behind everything else.
  const around = folded === null ? 0 : halo;
  const queryBytes = dot ? (tileQ + around) * keyRow : 0;
  const k = place(dot ? (folded?.kernel.query ?? 1) * tileK * keyRow : 0);
  const v = place(dot && values ? 2 * tileK * valueRow : 0);
  // Queries that move to registers pass through the keys' place.
  let q = 0;
  if (!queriesInRegisters) q = place(queryBytes);
  else at = Math.max(at, queryBytes);
  if (folded !== null) q += haloPast * keyRow;
  const haloAt = place(dot ? (halo - around) * keyRow : 0);
  const scoresRow = tileK * 2 + 16;
  const scores = place(stage === null ? 0 : (tileQ + halo) * scoresRow * (exact ? 2 : 1));
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
      folded: request.folded?.index ?? null,
      keys: request.keys,
      inner: {
        margin: convolved === null ? 0 : innerMargin(convolved),
        step: INNER_STEP,
      },
      sourcesEndWithKeys: sourcesEndWithKeys(pipeline, geometry?.reach ?? NO_REACH),
      haloPast,
      haloFuture,
      before: request.before,
      finish: request.finish,
      map: sink === "map" ? { ...mapWrite(pipeline), chunk: request.chunk } : null,
      blocksPerSm: Math.max(1, Math.min(2, byShared, byRegisters)),
      splits: sink === "attention",
      sharedBytes: at,
      rowBytes: { keys: keyRow, values: valueRow, scores: scoresRow },
      places: { k, v, q: dot ? q : -1, halo: haloAt, scores, taps: tapsAt },
    },
  };
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
