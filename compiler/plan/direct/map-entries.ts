import type { CallShape, Pipeline, Reach } from "../../../runtime/contract/index.ts";
import { keyRange } from "../key-range.ts";
import { rememberByPipeline } from "../remember.ts";

/** How the staged schedule cuts a call, for its costs. */
export interface StripShape {
  readonly stripRows: number;
  readonly stripBytes: number;
}

/** Strips, and entries of the maps that a kernel computes and writes over all of them. */
export function mapEntries(
  pipeline: Pipeline,
  shape: CallShape,
  strips: StripShape,
  halo: Reach,
  tile: { readonly rows: number; readonly keys: number },
): MapEntries {
  const haloRows = halo.past + halo.future;
  const { B, Lq, Lk } = shape;
  const key = [B, Lq, Lk, strips.stripBytes, strips.stripRows, haloRows, tile.rows, tile.keys].join();
  return rememberedEntries(pipeline, key, () => countEntries(pipeline, shape, strips, haloRows, tile));
}

interface MapEntries {
  readonly strips: number;
  readonly live: number;
  readonly written: number;
}

const rememberedEntries = rememberByPipeline<MapEntries>();

function countEntries(
  pipeline: Pipeline,
  shape: CallShape,
  strips: StripShape,
  haloRows: number,
  tile: { readonly rows: number; readonly keys: number },
): MapEntries {
  const mapRow = Math.ceil(shape.Lk / 64) * 64 * pipeline.heads * 8;
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
    strips: count * Math.ceil(shape.B / together),
    live: live * scale,
    written: written * scale,
  };
}
