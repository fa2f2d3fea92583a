import { headsTogether } from "./pipeline.ts";
import type { Plan } from "./plan.ts";
import type { CallShape } from "./tensor.ts";

/** Threads that the C library starts for a call at most (`templates/c/threads.h`). */
export const MOST_THREADS = 256;

/** Rows within which no part of a call begins (`place_of` of `templates/c/forward.h`). */
const TILE_ROWS = 16;

/** Rows that a kernel computes at a time, and the widest panel of packed keys: strips and blocks hold whole ones, whatever the vectors' width. */
const MULTIPLES = { strip: 4, block: 32 } as const;

/** Sums of a few of them are ints of the library's. */
const MOST = 2 ** 29;

/** Why the C library cannot compute as a plan's knobs say, as phrases; none where it can. Plans may have been edited, or come from a file. */
export function libraryFaults({ knobs }: Pick<Plan, "knobs">): readonly string[] {
  const { threads } = knobs;
  const sizes = (["strip", "block"] as const).flatMap((name) => {
    const size = knobs[name];
    const multiple = MULTIPLES[name];
    const fits = typeof size === "number" && size > 0 && size <= MOST && size % multiple === 0;
    return fits
      ? []
      : [`its ${name} is ${size}: it must be a multiple of ${multiple}, from ${multiple} to ${MOST}`];
  });
  const counts =
    threads === "all" || (typeof threads === "number" && Number.isInteger(threads) && threads > 0);
  return counts
    ? sizes
    : [...sizes, `its threads are ${threads}: they must be a whole number from 1, or "all"`];
}

/**
 * In how many parts the C library computes a call, each on a thread: as many as the plan says, else all; but never more than there are tiles of
 * rows, as a part without rows would only take memory.
 */
export function libraryParts(
  { pipeline, knobs }: Pick<Plan, "pipeline" | "knobs">,
  { B, Lq }: Pick<CallShape, "B" | "Lq">,
  threads: number,
): number {
  const { threads: wanted } = knobs;
  const tiles = B * (pipeline.heads / headsTogether(pipeline)) * Math.ceil(Lq / TILE_ROWS);
  return Math.min(typeof wanted === "number" ? wanted : threads, threads, tiles, MOST_THREADS);
}
