import { headsTogether } from "./pipeline.ts";
import type { Plan } from "./plan.ts";
import type { CallShape } from "./tensor.ts";

/** Threads that the C library starts for a call at most (`templates/c/threads.h`). */
export const MOST_THREADS = 256;

/** Rows within which no part of a call begins (`place_of` of `templates/c/forward.h`). */
const TILE_ROWS = 16;

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
