import {
  type CallShape,
  type ConvStage,
  headsTogether,
  libraryParts,
  type Pipeline,
  type Plan,
} from "../../runtime/contract/index.ts";
import { ceilTo } from "./layout.ts";
import type { CpuMachine } from "./machine.ts";

type Vectors = Pick<CpuMachine, "lanes">;

/**
 * Bytes of memory that the C library needs for a call beside its tensors, in so many parts, each on a thread: as `share` (`templates/c/forward.h`) and
 * `lay_out` (`templates/c/worker.h`) take them. They grow with the keys, never with their square.
 */
export function libraryWorkspace(
  { pipeline, knobs }: Pick<Plan, "pipeline" | "knobs">,
  shape: CallShape,
  { lanes, threads }: Vectors & Pick<CpuMachine, "threads">,
): number {
  const sizes = { strip: Number(knobs["strip"]), block: Number(knobs["block"]) };
  const parts = libraryParts({ pipeline, knobs }, shape, threads);
  return sharedBytes(pipeline, shape, lanes) + parts * threadBytes(pipeline, sizes, shape.Lk, lanes);
}

/** Fewer rows than this do not have K packed beforehand. */
const PACKED_ROWS = 32;

/** Keys of a panel of packed K: as many vectors as a kernel of scores has beside each other. */
export function panelOf(lanes: number): number {
  return (lanes === 4 ? 4 : 2) * lanes;
}

/** Packed K, which panels of V are finite, a gate's weights: once for all threads. */
function sharedBytes(pipeline: Pipeline, { B, Lq, Lk }: CallShape, lanes: number): number {
  const { kvHeads, headDim, valueDim, output } = pipeline;
  const panel = panelOf(lanes);
  const panels = B * kvHeads * Math.ceil(Lk / panel);
  const packed = Lq < PACKED_ROWS ? 0 : taken(panels * headDim * panel * 4) + taken(panels);
  const gates = output.some((stage) => stage.kind === "gate" && stage.mode === "channel");
  return packed + (gates ? taken(valueDim * ceilTo(valueDim, lanes) * 4) : 0);
}

/** What each thread has for itself. */
function threadBytes(
  pipeline: Pipeline,
  { strip, block }: { readonly strip: number; readonly block: number },
  Lk: number,
  lanes: number,
): number {
  const { headDim, valueDim, scores, weights } = pipeline;
  const group = headsTogether(pipeline);
  const panel = panelOf(lanes);
  const keys = ceilTo(Lk, panel);
  const stages = [...scores, ...weights];
  const convs = stages.filter((stage) => stage.kind === "conv").map((stage) => reachOf(stage, lanes));
  // A convolution that is the first stage on the weights reads the map itself; all others keep their input.
  const own = weights[0]?.kind === "conv" ? reachOf(weights[0], lanes) : null;
  const kept = [...scores, ...weights.slice(own === null ? 0 : 1)].flatMap((stage) =>
    stage.kind === "conv" ? [reachOf(stage, lanes)] : [],
  );
  const levels = kept.map(({ halo, left, right }) => {
    const pitch = left + right + block + right + CACHE_LINE;
    return taken(group * (halo + strip) * pitch * 4) + taken(group * halo * keys * 4);
  });
  const mapPitch = lanes + (own?.left ?? 0) + keys + lanes + (own?.right ?? 0) + CACHE_LINE;
  const map = taken(group * ((own?.halo ?? 0) + strip) * mapPitch * 4);
  const most = (of: (each: Reach) => number): number => Math.max(0, ...convs.map(of));
  const history = most(({ halo }) => halo);
  const lead = convs.reduce((rows, { ahead }) => rows + ahead, 0);
  const sights = taken((history + strip + lead) * SIGHT_BYTES);
  const width = ceilTo(valueDim, lanes);
  const blocks = stages.length === 0 ? 0 : 2 * taken(group * strip * block * 4);
  const scratch = pipeline.mask.some(({ kind }) => kind === "documents")
    ? taken(most(({ halo }) => halo + strip) * most(({ left, right }) => left + block + right) * 4)
    : 0;
  return [
    ...levels,
    map,
    sights,
    taken(group * strip * headDim * 4),
    blocks,
    taken(group * strip * width * 4),
    taken(block * width * 4),
    taken(strip * width * 4),
    scratch,
    taken(headDim * panel * 4),
  ].reduce((sum, bytes) => sum + bytes, 0);
}

/** Floats of a line of cache, by which rows are longer than they need be. */
const CACHE_LINE = 16;
/** `struct sight`: three words. */
export const SIGHT_BYTES = 12;
const ALIGNMENT = 64;

export function taken(bytes: number): number {
  return ceilTo(bytes, ALIGNMENT);
}

/** What a convolution reads around an entry: rows at all and ahead, whole vectors of keys to the left and to the right. */
interface Reach {
  readonly halo: number;
  readonly ahead: number;
  readonly left: number;
  readonly right: number;
}

function reachOf({ kernel, origin, dilation }: ConvStage, lanes: number): Reach {
  return {
    halo: (kernel.query - 1) * dilation.query,
    ahead: (kernel.query - 1 - origin.query) * dilation.query,
    left: ceilTo(origin.key * dilation.key, lanes),
    right: ceilTo((kernel.key - 1 - origin.key) * dilation.key, lanes),
  };
}
