/** One round of a sweep: how many candidates stay after it, and how often each is run in it. */
export interface Rung {
  readonly keep: number;
  readonly runs: number;
}

/** Runs of a candidate in the first round, and by how much more in each of the next. */
const FIRST_RUNS = 2;
const GROWTH = 2;
/** Of the candidates of a round, one in so many stays. */
const ETA = 2.5;
/** Those that the last round compares. */
const FINALISTS = 4;

/**
 * Successive halving (Jamieson and Talwalkar 2016): many candidates briefly, the better ones longer. The last round
 * compares a few finalists.
 *
 * @param exact One run tells all: then there is one round of one run.
 */
export function rungsOf(candidates: number, exact: boolean): readonly Rung[] {
  if (exact) return [{ keep: 1, runs: 1 }];
  const rungs: Rung[] = [];
  let count = candidates;
  let runs = FIRST_RUNS;
  while (count > FINALISTS) {
    const keep = Math.max(FINALISTS, Math.ceil(count / ETA));
    rungs.push({ keep, runs });
    count = keep;
    runs *= GROWTH;
  }
  return [...rungs, { keep: 1, runs }];
}

export interface Quartiles {
  readonly low: number;
  readonly median: number;
  readonly high: number;
}

/** Quartiles by linear interpolation between the order statistics. */
export function quartiles(values: readonly number[]): Quartiles {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number => {
    const place = share * (sorted.length - 1);
    const below = sorted[Math.floor(place)] ?? Number.NaN;
    const above = sorted[Math.ceil(place)] ?? Number.NaN;
    return below + (above - below) * (place - Math.floor(place));
  };
  return { low: at(0.25), median: at(0.5), high: at(0.75) };
}

/**
 * Takes out what a machine's other work does to all candidates alike: each turn, in which every candidate ran once, is scaled so that
 * its geometric mean is the median of all turns'.
 *
 * @param turns One list a turn, of one time a candidate.
 */
export function withoutDrift(turns: readonly (readonly number[])[]): readonly (readonly number[])[] {
  const levels = turns.map((times) =>
    Math.exp(times.reduce((sum, time) => sum + Math.log(time), 0) / times.length),
  );
  const { median } = quartiles(levels);
  return turns.map((times, turn) => times.map((time) => (time * median) / (levels[turn] ?? median)));
}
