import { convReach, hasMask, type Pipeline, type References } from "../../../runtime/contract/index.ts";
import type { TileRequest } from "./tile-request.ts";

/** Keys whose mean a row's reference is made of. */
const BLOCK = 16;

/** Whether what a mask hides does not follow from the ranges of keys that rows see. */
function hidesAnywhere(pipeline: Pipeline): boolean {
  return hasMask(pipeline, "documents") || hasMask(pipeline, "bias");
}

/**
 * Whether maps and tiles of scores are relative to references of their rows. Where documents or a bias hide pairs anywhere, what a
 * convolution makes of references is not known; a bias may hide them in some heads only, and then a mix does not know it either.
 */
export function keepsReferences(pipeline: Pipeline): boolean {
  const has = (kind: "conv" | "mix"): boolean => pipeline.scores.some((stage) => stage.kind === kind);
  if (hidesAnywhere(pipeline) && has("conv")) return false;
  return !hasMask(pipeline, "bias") || !has("mix");
}

/** What the scores that a tile of `rows` rows convolves, or leaves in a map, are relative to. */
export function tileReferences(
  pipeline: Pipeline,
  { source, sink, conv, before, finish }: TileRequest,
  rows: number,
): References | null {
  if (!keepsReferences(pipeline)) return null;
  const raised = conv !== null && sink === "map" && finish.mask === "hide";
  if (source === "dot") {
    if (conv === null ? sink !== "map" : before.mask !== "zero") return null;
    // Windows begin with another key in every row.
    const several = hasMask(pipeline, "window") ? Math.ceil((rows - 1) / BLOCK) + 1 : 1;
    const keyMeans = hidesAnywhere(pipeline) ? 0 : several;
    return { source: "keys", keyMeans, raised };
  }
  return conv?.index.section === "scores" ? { source: "map", keyMeans: 0, raised } : null;
}

/** Keys around an entry whose taps are summed up beforehand, beyond a convolution's reach. */
const SUMS_BEYOND = 16;

/** Bytes of shared memory that they take: references of all rows, the tile's constants, sums of taps, means of keys. */
export function referenceBytes(
  pipeline: Pipeline,
  request: TileRequest,
  rows: number,
  tileRows: number,
): number {
  const references = tileReferences(pipeline, request, rows);
  if (references === null) return 0;
  const own = rows + references.keyMeans * (Math.ceil(pipeline.headDim / 16) * 8 + 4);
  if (request.conv === null) return own * 4;
  const { stage } = request.conv;
  const { past, future, left, right } = convReach(stage);
  const sums = Math.ceil((stage.kernel.query * (left + right + past + future + SUMS_BEYOND)) / 4) * 4;
  return (own + tileRows * (references.raised ? 2 : 1) + sums) * 4;
}
