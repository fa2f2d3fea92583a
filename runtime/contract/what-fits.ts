import type { CallSize } from "./expand.ts";

/** The largest batch that fits, or, if not even one entry does, the largest share of query rows or keys. */
export function whatFits(size: CallSize, fits: (size: CallSize) => boolean): string {
  const batch = largest(size.B - 1, (B) => fits({ ...size, B }));
  if (batch > 0) return `split the batch: at most ${batch} of the ${size.B} entries fit in one call`;
  const rows = largest(size.Lq - 1, (Lq) => fits({ ...size, B: 1, Lq }));
  if (rows > 0)
    return `split the query rows: at most ${rows} of the ${size.Lq} rows fit in one call with B = 1`;
  const keys = largest(size.Lk - 1, (Lk) => fits({ ...size, B: 1, Lq: Math.min(size.Lq, Lk), Lk }));
  return keys > 0
    ? `at most ${keys} of the ${size.Lk} keys fit in one call with B = 1; try another schedule`
    : "no smaller call fits either; try another schedule or another device";
}

/** The largest n in [1, most] for which `fits` holds, by bisection, or 0. */
function largest(most: number, fits: (n: number) => boolean): number {
  let low = 0;
  let high = most;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (fits(middle)) low = middle;
    else high = middle - 1;
  }
  return low;
}
