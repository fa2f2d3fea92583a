import type { CallShape, Pipeline, Reach } from "../../runtime/contract/index.ts";
import { type KeyRange, keyRanges } from "../ir/index.ts";
import { rememberByPipeline } from "./remember.ts";

/** How high strips are. */
export interface StripShape {
  /** Rows at most. */
  readonly stripRows: number;
  /** Bytes that the two maps of a strip may take together, unless the least strip needs more. */
  readonly stripBytes: number;
  /** Bytes of an entry of a map. */
  readonly entryBytes: number;
}

/** Rows and keys of a tile, all of whose entries are computed where one is visible. */
interface EntryTile {
  readonly rows: number;
  readonly keys: number;
}

export interface MapEntries {
  /** Rounds over strips and batch entries: each kernel is launched once in each. */
  readonly launches: number;
  /** Entries that a kernel computes over all of them, halo included, and those that it writes. */
  readonly live: number;
  readonly written: number;
}

const rememberedEntries = rememberByPipeline<MapEntries>();

/** Entries of the maps that a kernel computes and writes, tile by tile, remembered: candidates differ in few of the numbers. */
export function mapEntries(
  pipeline: Pipeline,
  shape: CallShape,
  strips: StripShape,
  halo: Reach,
  tile: EntryTile,
): MapEntries {
  const haloRows = halo.past + halo.future;
  const { B, Lq, Lk } = shape;
  const { stripRows, stripBytes, entryBytes } = strips;
  const key = [B, Lq, Lk, stripRows, stripBytes, entryBytes, haloRows, tile.rows, tile.keys].join();
  return rememberedEntries(pipeline, key, () => countEntries(pipeline, shape, strips, haloRows, tile));
}

const rememberedSums = rememberByPipeline<Float64Array>();

/** Entries of the tile whose first row is `first`, as far as it lies before `end`. */
function tileEntries(range: KeyRange, { rows, keys }: EntryTile, first: number, end: number): number {
  const [low, high] = range(first, Math.min(first + rows, end) - 1);
  return rows * Math.ceil((high - low) / keys) * keys;
}

/** At each row the entries of the whole tile that begins there, of the one right above it, and so on: strips are differences. */
function tileSums(range: KeyRange, rows: number, tile: EntryTile): Float64Array {
  const sums = new Float64Array(rows);
  for (let row = 0; row + tile.rows <= rows; row++)
    sums[row] = tileEntries(range, tile, row, rows) + sumAt(sums, row - tile.rows);
  return sums;
}

function sumAt(sums: Float64Array, row: number): number {
  return row < 0 ? 0 : (sums[row] ?? 0);
}

function countEntries(
  pipeline: Pipeline,
  shape: CallShape,
  strips: StripShape,
  haloRows: number,
  tile: EntryTile,
): MapEntries {
  const mapRow = Math.ceil(shape.Lk / 64) * 64 * pipeline.heads * 2 * strips.entryBytes;
  const fit = Math.floor(strips.stripBytes / mapRow);
  const together = Math.max(1, Math.min(shape.B, Math.floor(fit / (shape.Lq + haloRows))));
  const most = Math.max(16, Math.min(shape.Lq, strips.stripRows, Math.floor(fit / together)));
  const count = Math.ceil(shape.Lq / most);
  const strip = Math.ceil(shape.Lq / count);
  const range = keyRanges(pipeline, shape);
  const sums = rememberedSums(pipeline, [shape.Lq, shape.Lk, tile.rows, tile.keys].join(), () =>
    tileSums(range, shape.Lq, tile),
  );
  let live = 0;
  let written = 0;
  for (let row = 0; row < shape.Lq; row += strip) {
    const end = Math.min(row + strip, shape.Lq);
    const [, stripHigh] = range(row, end - 1);
    const first = Math.max(0, row - haloRows);
    const tiles = Math.ceil((end - first) / tile.rows);
    const last = first + (tiles - 1) * tile.rows;
    // The last tile may reach beyond the strip's end; those above it are whole.
    live +=
      tileEntries(range, tile, last, end) + sumAt(sums, last - tile.rows) - sumAt(sums, first - tile.rows);
    written += tiles * tile.rows * stripHigh;
  }
  const scale = pipeline.heads * shape.B;
  return {
    launches: count * Math.ceil(shape.B / together),
    live: live * scale,
    written: written * scale,
  };
}
