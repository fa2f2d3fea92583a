import type { CallShape, Pipeline, Reach } from "../../runtime/contract/index.ts";
import { type KeyRange, keyRanges } from "../ir/index.ts";
import { rememberByPipeline } from "./remember.ts";
import { sumOverRows } from "./row-sums.ts";

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

/** Entries of the tiles of rows [first, end), the last of which may reach beyond them. */
function tileEntries(range: KeyRange, { rows, keys }: EntryTile, first: number, end: number): number {
  return sumOverRows(first, end, rows, (row) => {
    const [low, high] = range(row, Math.min(row + rows, end) - 1);
    return rows * Math.ceil((high - low) / keys) * keys;
  });
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
  const firstOf = (row: number): number => Math.max(0, row - haloRows);
  const endOf = (row: number): number => Math.min(row + strip, shape.Lq);
  const live = sumOverRows(0, shape.Lq, strip, (row) => tileEntries(range, tile, firstOf(row), endOf(row)));
  const written = sumOverRows(0, shape.Lq, strip, (row) => {
    const [, high] = range(row, endOf(row) - 1);
    return Math.ceil((endOf(row) - firstOf(row)) / tile.rows) * tile.rows * high;
  });
  const scale = pipeline.heads * shape.B;
  return {
    launches: count * Math.ceil(shape.B / together),
    live: live * scale,
    written: written * scale,
  };
}
