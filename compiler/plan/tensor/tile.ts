import { convReach, type Pipeline, type TensorTileProgram } from "../../../runtime/contract/index.ts";
import { type ResidentBlock, residentBlocks } from "../estimate.ts";
import { doesNotFit, type Fitted, fits, memoryFault } from "../fit.ts";
import { NO_REACH } from "../graph.ts";
import type { GpuMachine, GpuTask } from "../machine.ts";
import { WARP } from "../work.ts";
import { referenceBytes, tileReferences } from "./references.ts";
import { MOST_REGISTERS, tileRegisters } from "./registers.ts";
import {
  INNER_STEP,
  innerMargin,
  MAP_ALIGNMENT,
  sourcesEndWithKeys,
  type ToeplitzGeometry,
  toeplitzGeometry,
  toeplitzIllegal,
} from "./support.ts";
import type { TileKnobs, TileRequest } from "./tile-request.ts";

const WARPS = 4;
/** Most pairs of kernel rows by distances in registers beside which there is room for the keys that blocks of rows see (ptxas reports). */
const SKIPPING_TAPS = 16;
/** Bytes of a row of `elements` 16-bit elements in shared memory: an odd number of 16-byte units, so that ldmatrix meets no bank twice. */
export function paddedRow(elements: number): number {
  return Math.ceil(elements / 16) * 32 + 16;
}

/** What follows from a tile's request, whatever the knobs. */
interface TileShape {
  readonly geometry: ToeplitzGeometry | null;
  readonly haloPast: number;
  readonly haloFuture: number;
  /** Blocks of eight keys that a convolution reads for each block of its results, and pairs of its kernel's rows. */
  readonly distances: number;
  readonly pairs: number;
}

function tileShape({ conv, folded }: TileRequest): TileShape {
  const geometry = conv === null ? null : toeplitzGeometry(conv.stage);
  const halo = folded === null ? null : convReach(folded.stage);
  return {
    geometry,
    haloPast: halo?.past ?? geometry?.haloPast ?? 0,
    haloFuture: halo?.future ?? geometry?.haloFuture ?? 0,
    distances: geometry === null ? 0 : geometry.granulesLeft + geometry.granulesRight + 1,
    pairs: conv === null ? 0 : Math.ceil(conv.stage.kernel.query / 2),
  };
}

function keepsValues({ sink }: TileRequest): boolean {
  return sink === "attention" || sink === "product";
}

type PlacedTile = Pick<TensorTileProgram, "sharedBytes" | "rowBytes" | "places">;

/** Lays a tile's parts out in shared memory, one behind the other. */
function placeTile(
  pipeline: Pipeline,
  request: TileRequest,
  { rowBlocks, tileK, queriesInRegisters, taps, precision }: TileKnobs,
  { haloPast, haloFuture, distances, pairs }: TileShape,
): PlacedTile {
  const { conv, folded } = request;
  const keys = paddedRow(pipeline.headDim);
  const values = paddedRow(pipeline.valueDim);
  const scoresRow = tileK * 2 + 16;
  const tileQ = WARPS * 16 * rowBlocks;
  const halo = haloPast + haloFuture;
  const dot = request.source === "dot";
  let at = 0;
  const place = (bytes: number): number => {
    if (bytes === 0) return -1;
    const here = at;
    at += bytes;
    return here;
  };
  // Folded keys meet shifted queries: their halo's rows lie around the tile's, others behind everything else.
  const around = folded === null ? 0 : halo;
  const queryBytes = dot ? (tileQ + around) * keys : 0;
  const k = place(dot ? (folded?.stage.kernel.query ?? 1) * tileK * keys : 0);
  const v = place(dot && keepsValues(request) ? 2 * tileK * values : 0);
  // Queries that move to registers pass through the keys' place.
  let q = 0;
  if (!queriesInRegisters) q = place(queryBytes);
  else at = Math.max(at, queryBytes);
  if (folded !== null) q += haloPast * keys;
  const haloAt = place(dot ? (halo - around) * keys : 0);
  const copies = precision === "exact" ? 2 : 1;
  const scores = place(conv === null ? 0 : (tileQ + halo) * scoresRow * copies);
  const tapsAt = place(taps === "shared" ? pairs * distances * 256 : 0);
  const referencesAt = place(referenceBytes(pipeline, request, tileQ + halo, tileQ));
  return {
    sharedBytes: at,
    rowBytes: { keys, values, scores: scoresRow },
    places: { k, v, q: dot ? q : -1, halo: haloAt, scores, taps: tapsAt, references: referencesAt },
  };
}

/** Why a tile of `tileK` keys a step cannot be convolved at all; null where it can. */
function convIllegal(request: TileRequest, tileK: number, geometry: ToeplitzGeometry | null): string | null {
  if (request.conv === null || geometry === null) return null;
  const { stage } = request.conv;
  const illegal = toeplitzIllegal(stage);
  if (illegal !== null) return illegal;
  // The last step's results trail its scores: its values are one tile.
  const tail = Math.ceil(geometry.granulesRight / 2) * 16;
  if (!keepsValues(request) || tail <= tileK) return null;
  return `${stage.name} reads ${geometry.reach.right} keys to the right, more than a step of ${tileK} holds`;
}

/** One tile kernel with given knobs, or the limit that it breaks. */
export function fitTile(task: GpuTask, request: TileRequest, knobs: TileKnobs): Fitted<TensorTileProgram> {
  const { pipeline, machine } = task;
  const { source, sink, conv, folded, keys, before, finish } = request;
  const { rowBlocks, tileK, queriesInRegisters, taps, precision } = knobs;
  const shape = tileShape(request);
  const { geometry, haloPast, haloFuture, distances, pairs } = shape;
  const illegal = convIllegal(request, tileK, geometry);
  if (illegal !== null) return doesNotFit(illegal);
  // Queries in shared memory are read again for each of these: all keys of the step where nothing else needs the registers.
  const columns =
    sink === "map" && !queriesInRegisters
      ? tileK
      : Math.min(tileK, sink === "map" || rowBlocks === 1 || !queriesInRegisters ? 32 : 16);
  const carried = Math.max(0, distances - 1);
  const registers = tileRegisters(pipeline, request, knobs, { columns, carried, taps: pairs * distances });
  if (registers > MOST_REGISTERS)
    return doesNotFit(
      `needs about ${registers} registers a thread, more than the ${MOST_REGISTERS} that never spill`,
    );
  const placed = placeTile(pipeline, request, knobs, shape);
  const { sharedBytes } = placed;
  const fault = memoryFault(machine, sharedBytes);
  if (fault !== null) return doesNotFit(fault);
  const convolved = folded ?? conv;
  const rows = WARPS * 16 * rowBlocks + haloPast + haloFuture;
  return fits({
    kind: "tensor_tile",
    source,
    sink,
    rowBlocks,
    warps: WARPS,
    tileK,
    columns,
    queriesInRegisters,
    conv:
      conv === null || geometry === null
        ? null
        : {
            stage: conv.index,
            granulesLeft: geometry.granulesLeft,
            granulesRight: geometry.granulesRight,
            taps,
            precision,
          },
    folded: folded?.index ?? null,
    keys,
    inner: { margin: convolved === null ? 0 : innerMargin(convolved.stage), step: INNER_STEP },
    sourcesEndWithKeys: sourcesEndWithKeys(pipeline, geometry?.reach ?? NO_REACH),
    haloPast,
    haloFuture,
    references: tileReferences(pipeline, request, rows),
    before,
    finish,
    map:
      sink === "map"
        ? { alignment: MAP_ALIGNMENT, chunk: request.chunk, exponentials: request.exponentials }
        : null,
    blocksPerSm: blocksPerSm(machine, { threads: WARPS * WARP, sharedBytes, registers }),
    skips: sink === "map" && conv !== null && (taps === "shared" || pairs * distances <= SKIPPING_TAPS),
    splits: sink === "attention",
    ...placed,
  });
}

/** Blocks of a multiprocessor that a kernel is compiled for: what fits, but more than two hide no more. */
export function blocksPerSm({ rates }: GpuMachine, block: ResidentBlock): number {
  return Math.min(2, residentBlocks(block, rates.residency));
}
