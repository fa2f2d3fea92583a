import type { CallShape, Pipeline, Reach } from "../../runtime/contract/index.ts";
import { keyRange } from "./key-range.ts";
import { rememberByPipeline } from "./remember.ts";

/** How the staged schedule cuts a call, for its costs. */
export interface StripShape {
  readonly stripRows: number;
  readonly stripBytes: number;
  /** Bytes of an entry of a map. */
  readonly entryBytes: number;
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
  tile: { readonly rows: number; readonly keys: number },
): MapEntries {
  const haloRows = halo.past + halo.future;
  const { B, Lq, Lk } = shape;
  const { stripRows, stripBytes, entryBytes } = strips;
  const key = [B, Lq, Lk, stripRows, stripBytes, entryBytes, haloRows, tile.rows, tile.keys].join();
  return rememberedEntries(pipeline, key, () => countEntries(pipeline, shape, strips, haloRows, tile));
}

function countEntries(
  pipeline: Pipeline,
  shape: CallShape,
  strips: StripShape,
  haloRows: number,
  tile: { readonly rows: number; readonly keys: number },
): MapEntries {
  const mapRow = Math.ceil(shape.Lk / 64) * 64 * pipeline.heads * 2 * strips.entryBytes;
  const fit = Math.floor(strips.stripBytes / mapRow);
  const together = Math.max(1, Math.min(shape.B, Math.floor(fit / (shape.Lq + haloRows))));
  const most = Math.max(16, Math.min(shape.Lq, strips.stripRows, Math.floor(fit / together)));
  const count = Math.ceil(shape.Lq / most);
  const strip = Math.ceil(shape.Lq / count);
  let live = 0;
  let written = 0;
  for (let row = 0; row < shape.Lq; row += strip) {
    const end = Math.min(row + strip, shape.Lq);
    const [, stripHigh] = keyRange(pipeline, shape, row, end - 1);
    for (let first = Math.max(0, row - haloRows); first < end; first += tile.rows) {
      const [low, high] = keyRange(pipeline, shape, first, Math.min(first + tile.rows, end) - 1);
      live += tile.rows * Math.ceil((high - low) / tile.keys) * tile.keys;
      written += tile.rows * stripHigh;
    }
  }
  const scale = pipeline.heads * shape.B;
  return {
    launches: count * Math.ceil(shape.B / together),
    live: live * scale,
    written: written * scale,
  };
}
