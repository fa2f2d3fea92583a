const { MTAC_SEED, MTAC_RUNS } = process.env;

/** MTAC_SEED repeats a run of the property tests. The seed is part of the tests' names, so that every report prints it. */
export const SEED = Number(MTAC_SEED ?? Date.now() % 2 ** 31);

/** MTAC_RUNS multiplies the number of cases. */
export function runsOf(count: number): number {
  return Math.max(1, Math.round(count * Number(MTAC_RUNS ?? 1)));
}
