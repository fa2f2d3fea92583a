import { type CallShape, nearestBucket } from "../../runtime/contract/index.ts";
import { stableJson } from "../ir/meaning.ts";
import {
  bucketOf,
  CLOCKS,
  type Measurement,
  type Rejection,
  sameBucket,
  sameKey,
  sameSetting,
  type TunedCandidate,
  type TuningKey,
  type TuningRecord,
  UNITS,
} from "./record.ts";

/** The best candidate measured for a key. */
export interface Winner {
  readonly key: TuningKey;
  readonly candidate: TunedCandidate;
  /** What it won with. */
  readonly measurement: Measurement;
}

/** What is known of one candidate under one key. */
export interface FinishedCandidate {
  readonly candidate: TunedCandidate;
  /** The newest measurement of each rung. */
  readonly rungs: ReadonlyMap<number, Measurement>;
  /** The newest rejection; one for a wrong result stays for good. */
  readonly rejection: Rejection | null;
}

/**
 * The best candidate for a key; null where none was measured. Only records with that very key count. A candidate whose result
 * was wrong is out, whatever its time, and so is one that was rejected after it was measured; of the others, those count that were measured at the highest rung that any
 * reached, and of these the least median wins. Times of different clocks or units are never compared: the device's clock
 * goes before the wall clock, and that before an estimate. The order of the records does not matter.
 */
export function winnerOf(records: readonly TuningRecord[], key: TuningKey): Winner | null {
  const own = records.filter((record) => sameKey(record.key, key));
  return bestOf(own, rejectedSources(own));
}

/**
 * The winner for the bucket that is nearest to a shape: by the sum of the sizes' distances in log scale; of two as near, the
 * larger. A candidate that was rejected in the shape's own bucket is not taken from another one either.
 */
export function nearestWinner(
  records: readonly TuningRecord[],
  setting: Omit<TuningKey, "bucket">,
  shape: CallShape,
): Winner | null {
  const fitting = records.filter(({ key }) => sameSetting(key, setting));
  const here = bucketOf(shape);
  const rejectedHere = rejectedSources(fitting.filter(({ key }) => sameBucket(key.bucket, here)));
  const winners = groupByKey(fitting)
    .map(([, own]) => bestOf(own, new Set([...rejectedHere, ...rejectedSources(own)])))
    .filter((winner) => winner !== null);
  const near = nearestBucket(
    winners.map((winner) => ({ bucket: winner.key.bucket, winner })),
    shape,
  );
  return near?.winner ?? null;
}

/**
 * How many times as fast a winner is as the planner's first choice, by the highest rung at which both were measured with one
 * clock; null where there is none, or where the first choice was wrong.
 */
export function speedOverFirst(records: readonly TuningRecord[], winner: Winner): number | null {
  const own = records.filter(({ key }) => sameKey(key, winner.key));
  const measured = alive(own, rejectedSources(own));
  const { clock, unit } = winner.measurement;
  const comparable = measured.filter((each) => each.clock === clock && each.unit === unit);
  const firsts = new Set(
    measured.filter(({ first }) => first === true).map(({ candidate }) => candidate.source),
  );
  const pairs = comparable.flatMap((theirs) => {
    if (!firsts.has(theirs.candidate.source)) return [];
    const ours = comparable.find(
      ({ candidate, rung }) => candidate.source === winner.candidate.source && rung === theirs.rung,
    );
    return ours === undefined || ours.median === 0 ? [] : [{ ours, theirs }];
  });
  // Several of a rung only where the planner has changed its mind: then the newest.
  const [best] = pairs.sort((a, b) => b.theirs.rung - a.theirs.rung || byAge(b.theirs, a.theirs));
  return best === undefined ? null : best.theirs.median / best.ours.median;
}

/** What needs no second measurement, by the candidates' sources. */
export function finishedMeasurements(
  records: readonly TuningRecord[],
  key: TuningKey,
): ReadonlyMap<string, FinishedCandidate> {
  const finished = new Map<string, FinishedCandidate>();
  const own = records.filter((record) => sameKey(record.key, key)).sort(byAge);
  for (const record of own) {
    const { candidate } = record;
    const { rungs = new Map<number, Measurement>(), rejection = null } = finished.get(candidate.source) ?? {};
    finished.set(
      candidate.source,
      record.kind === "measured"
        ? { candidate, rungs: new Map([...rungs, [record.rung, record]]), rejection }
        : { candidate, rungs, rejection: rejection?.reason === "wrong" ? rejection : record },
    );
  }
  return finished;
}

/** Records by their keys, in the order in which the keys occur first. */
export function groupByKey(
  records: readonly TuningRecord[],
): readonly (readonly [TuningKey, readonly TuningRecord[]])[] {
  const groups = new Map<string, [TuningKey, TuningRecord[]]>();
  for (const record of records) {
    const name = stableJson(record.key);
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [record.key, [record]]);
    else group[1].push(record);
  }
  return [...groups.values()];
}

/** Of one key's records, the newest measurement of each candidate that was not wrong, rung, clock and unit. */
export function alive(own: readonly TuningRecord[], wrong: ReadonlySet<string>): readonly Measurement[] {
  const latest = new Map<string, Measurement>();
  for (const each of own.filter(isMeasurement).sort(byAge)) {
    const { candidate, rung, clock, unit } = each;
    if (!wrong.has(candidate.source)) latest.set(stableJson([candidate.source, rung, clock, unit]), each);
  }
  return [...latest.values()];
}

/** Older first; of two as old the one whose text comes first, so that merged stores agree whatever their order. */
export function byAge(a: TuningRecord, b: TuningRecord): number {
  return Date.parse(a.at) - Date.parse(b.at) || (stableJson(a) < stableJson(b) ? -1 : 1);
}

export function isMeasurement(record: TuningRecord): record is Measurement {
  return record.kind === "measured";
}

/**
 * Candidates, by source, that are out: those that computed something wrong for good, those that were rejected for another reason
 * (they lost the device, say) unless they were measured later.
 */
export function rejectedSources(records: readonly TuningRecord[]): ReadonlySet<string> {
  const lastTime = new Map<string, number>();
  for (const record of records)
    if (record.kind === "measured") {
      const { source } = record.candidate;
      lastTime.set(source, Math.max(Date.parse(record.at), lastTime.get(source) ?? Number.NEGATIVE_INFINITY));
    }
  const out = records.filter((record) => {
    if (record.kind === "measured") return false;
    const measured = lastTime.get(record.candidate.source) ?? Number.NEGATIVE_INFINITY;
    return record.reason === "wrong" || Date.parse(record.at) >= measured;
  });
  return new Set(out.map(({ candidate }) => candidate.source));
}

/** The best of records with one key. */
function bestOf(own: readonly TuningRecord[], wrong: ReadonlySet<string>): Winner | null {
  const measured = alive(own, wrong);
  const rung = Math.max(...measured.map((each) => each.rung));
  const ranked = measured.filter((each) => each.rung === rung).sort(byMerit);
  const [measurement] = ranked;
  if (measurement === undefined) return null;
  return { key: measurement.key, candidate: measurement.candidate, measurement };
}

/** The better clock first, then the least median, then the planner's choice. */
function byMerit(a: Measurement, b: Measurement): number {
  return (
    CLOCKS.indexOf(a.clock) - CLOCKS.indexOf(b.clock) ||
    UNITS.indexOf(a.unit) - UNITS.indexOf(b.unit) ||
    a.median - b.median ||
    Number(b.first ?? false) - Number(a.first ?? false) ||
    (a.candidate.source < b.candidate.source ? -1 : 1)
  );
}
