import { headsTogether } from "./pipeline.ts";
import type { Plan } from "./plan.ts";
import type { CallShape } from "./tensor.ts";

/** Threads that the C library starts for a call at most (`templates/c/threads.h`). */
export const MOST_THREADS = 256;

/** Rows within which no part of a call begins (`place_of` of `templates/c/forward.h`). */
export const TILE_ROWS = 16;

/** Strips hold whole tiles of rows, blocks whole panels of packed keys, whatever the vectors' width. */
const MULTIPLES = { strip: 4, block: 32, threads: 1 } as const;

/** Sums of a few of them are ints of the library's. */
const MOST = 2 ** 29;

/** Why the C library cannot compute as a plan's knobs say, as phrases; none where it can. Plans may have been edited, or come from a file. */
export function libraryFaults({ knobs }: Pick<Plan, "knobs">): readonly string[] {
  return Object.entries(MULTIPLES).flatMap(([name, multiple]) => {
    const value = knobs[name];
    if (name === "threads" && value === "all") return [];
    const fits = typeof value === "number" && value > 0 && value <= MOST && value % multiple === 0;
    return fits ? [] : [`its ${name} is ${value}: no multiple of ${multiple} up to ${MOST}`];
  });
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
