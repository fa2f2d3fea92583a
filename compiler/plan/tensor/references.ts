import {
  convReach,
  hasMask,
  type MixReferences,
  type Pipeline,
  type References,
} from "../../../runtime/contract/index.ts";
import { toeplitzGeometry } from "./support.ts";
import type { TileRequest } from "./tile-request.ts";

/** Keys whose mean a row's reference is made of. */
const BLOCK = 16;

/** Whether what a mask hides does not follow from the ranges of keys that rows see. */
function hidesAnywhere(pipeline: Pipeline): boolean {
  return hasMask(pipeline, "documents") || hasMask(pipeline, "bias");
}

/**
 * Whether scores tell hidden pairs from others: where documents or a bias hide pairs anywhere, what a convolution makes of references does not
 * follow from ranges; a bias may hide them in some heads only, and then a mix needs to know, too.
 */
function marksHidden(pipeline: Pipeline): boolean {
  const has = (kind: "conv" | "mix"): boolean => pipeline.scores.some((stage) => stage.kind === kind);
  return (hidesAnywhere(pipeline) && has("conv")) || (hasMask(pipeline, "bias") && has("mix"));
}

/**
 * Whether rows of final scores are gone through before they are made for a map, so that it holds exponentials. A bias may lift a row anywhere, and where
 * documents or a bias hide taps anywhere, some of a row's convolved scores may lie far above all others: f16 would hold neither.
 */
export function findsHighestFirst(pipeline: Pipeline): boolean {
  const last = pipeline.scores.findLast((stage) => stage.kind === "conv" || stage.kind === "mix");
  if (last?.kind === "mix") return false;
  return hasMask(pipeline, "bias") || (last !== undefined && marksHidden(pipeline));
}

/** What the scores that a tile of `rows` rows convolves, or leaves in a map, are relative to. */
export function tileReferences(
  pipeline: Pipeline,
  { source, sink, conv, folded, before, finish, exponentials }: TileRequest,
  rows: number,
): References | null {
  // What folded keys had in common is the reference.
  if (folded !== null) return { source: "keys", keyMeans: 1, raised: false, marked: false };
  const marked = marksHidden(pipeline);
  const raised = conv !== null && sink === "map" && finish.mask === "hide" && !exponentials;
  if (source === "dot") {
    if (conv === null ? sink !== "map" || exponentials : before.mask !== "zero") return null;
    // Windows begin with another key in every row.
    const several = hasMask(pipeline, "window") ? Math.ceil((rows - 1) / BLOCK) + 1 : 1;
    const keyMeans = hidesAnywhere(pipeline) ? 0 : several;
    return { source: "keys", keyMeans, raised, marked };
  }
  return conv?.index.section === "scores" ? { source: "map", keyMeans: 0, raised, marked } : null;
}

/** What the scores that a mix reads are relative to. */
export function mixReferences(pipeline: Pipeline): MixReferences {
  return { marked: marksHidden(pipeline), apart: hasMask(pipeline, "bias") };
}

/** Keys around an entry whose taps are summed up beforehand, beyond a convolution's reach. */
const SUMS_BEYOND = 16;
/** Bytes of a fragment of taps, sixteen by eight, as pairs of f16. */
const TAP_PAIR_BYTES = 512;

/** Bytes of shared memory that they take: references of all rows, the tile's constants, taps or sums of them, means of keys. */
export function referenceBytes(
  pipeline: Pipeline,
  request: TileRequest,
  rows: number,
  tileRows: number,
): number {
  const references = tileReferences(pipeline, request, rows);
  if (references === null) return 0;
  const own = (rows + references.keyMeans * (Math.ceil(pipeline.headDim / 16) * 8 + 4)) * 4;
  const convolved = request.conv ?? request.folded;
  if (convolved === null) return own;
  const { stage } = convolved;
  const constants = tileRows * (references.raised ? 2 : 1) * 4;
  if (references.marked) {
    const { granulesLeft, granulesRight } = toeplitzGeometry(stage);
    const fragments = Math.ceil(stage.kernel.query / 2) * (granulesLeft + granulesRight + 1);
    return own + constants + fragments * TAP_PAIR_BYTES;
  }
  const { past, future, left, right } = convReach(stage);
  const sums = Math.ceil((stage.kernel.query * (left + right + past + future + SUMS_BEYOND)) / 4) * 4;
  return own + constants + sums * 4;
}
