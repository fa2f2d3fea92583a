import { type CallShape, hasMask, type Pipeline } from "../../runtime/contract/index.ts";

/** Keys [begin, end) that rows [first, last] of a call see at most, without data-dependent masks. */
export type KeyRange = (first: number, last: number) => readonly [begin: number, end: number];

/** The ranges of a call; loops over its rows ask once for the function. */
export function keyRanges(pipeline: Pipeline, { Lq, Lk }: CallShape): KeyRange {
  const offset = Lk - Lq;
  const window = pipeline.mask.find((term) => term.kind === "window")?.size ?? Number.POSITIVE_INFINITY;
  // Keys after a row's own that it sees.
  const ahead = hasMask(pipeline, "causal") ? 1 : window;
  return (first, last) => {
    const begin = Math.max(0, offset + first - window + 1);
    return [begin, Math.max(begin, Math.min(Lk, offset + last + ahead))];
  };
}
