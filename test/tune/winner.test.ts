import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { exportTuning } from "../../compiler/tune/export.ts";
import { pruneRecords } from "../../compiler/tune/prune.ts";
import {
  type Clock,
  type Measurement,
  sameKey,
  type TimeUnit,
  type TuningKey,
  type TuningRecord,
} from "../../compiler/tune/record.ts";
import {
  finishedMeasurements,
  groupByKey,
  nearestWinner,
  speedOverFirst,
  winnerOf,
} from "../../compiler/tune/winner.ts";
import { runsOf, SEED } from "../support/seed.ts";
import { KEY, measured, rejected } from "./records.ts";

const RUNS = { seed: SEED, numRuns: runsOf(500) };

/** Keys that differ from KEY in one field each. */
const OTHER_KEYS: Readonly<Record<string, TuningKey>> = {
  mtac: { ...KEY, mtac: "1.2.4" },
  spec: { ...KEY, spec: "b".repeat(64) },
  target: { ...KEY, target: "cuda" },
  direction: { ...KEY, direction: "backward" },
  device: { ...KEY, device: "Some GPU, driver 1.1" },
  storage: { ...KEY, storage: "f16-native" },
  B: { ...KEY, bucket: { ...KEY.bucket, B: 2 } },
  Lq: { ...KEY, bucket: { ...KEY.bucket, Lq: 2048 } },
  Lk: { ...KEY, bucket: { ...KEY.bucket, Lk: 2048 } },
  R: { ...KEY, bucket: { ...KEY.bucket, R: 1 } },
};

/** Few values each, so that records meet. */
const anyRecord: fc.Arbitrary<TuningRecord> = fc
  .record({
    key: fc.oneof({ weight: 6, arbitrary: fc.constant(KEY) }, fc.constantFrom(...Object.values(OTHER_KEYS))),
    source: fc.constantFrom("a", "b", "c", "d"),
    at: fc.nat(5).map((second) => `2025-01-01T00:00:0${second}.000Z`),
    rung: fc.nat(2),
    clock: fc.constantFrom<Clock>("device", "device", "wall", "estimate"),
    unit: fc.constantFrom<TimeUnit>("ns", "ns", "cycles"),
    median: fc.integer({ min: 1, max: 9 }),
    first: fc.boolean(),
    fate: fc.constantFrom("measured", "measured", "measured", "measured", "wrong", "timeout"),
  })
  .map(({ fate, key, source, at, rung, clock, unit, median, first }) =>
    fate === "wrong" || fate === "timeout"
      ? rejected({ key, source, at, reason: fate })
      : measured({ key, source, at, rung, clock, unit, median, ...(first ? { first } : {}) }),
  );

const anyRecords = fc.array(anyRecord, { maxLength: 30 });

/** What may win, said the long way round. */
function naiveWinners(records: readonly TuningRecord[], key: TuningKey): Measurement[] {
  const own = records.filter((record) => JSON.stringify(record.key) === JSON.stringify(key));
  const isOut = (source: string): boolean =>
    own.some(
      (r) =>
        r.kind === "rejected" &&
        r.candidate.source === source &&
        (r.reason === "wrong" ||
          own.every((o) => o.kind !== "measured" || o.candidate.source !== source || o.at <= r.at)),
    );
  const alive = own.filter((r): r is Measurement => r.kind === "measured" && !isOut(r.candidate.source));
  const current = alive.filter(
    (r) =>
      !alive.some(
        (other) =>
          other.candidate.source === r.candidate.source &&
          other.rung === r.rung &&
          other.clock === r.clock &&
          other.unit === r.unit &&
          other.at > r.at,
      ),
  );
  const order = ["device ns", "device cycles", "wall ns", "wall cycles", "estimate ns", "estimate cycles"];
  const place = (r: Measurement): number => order.indexOf(`${r.clock} ${r.unit}`);
  const highest = current.filter((r) => current.every((other) => other.rung <= r.rung));
  const bestClock = highest.filter((r) => highest.every((other) => place(other) >= place(r)));
  // Of two equally new measurements of one candidate either may count.
  return bestClock.filter((r) =>
    bestClock.every((other) => other.median >= r.median || tied(bestClock, other) || tied(bestClock, r)),
  );
}

function tied(records: readonly Measurement[], one: Measurement): boolean {
  return records.some(
    (other) =>
      other.candidate.source === one.candidate.source && other.at === one.at && other.median !== one.median,
  );
}

describe(`winners of random records (seed ${SEED})`, () => {
  test("are those of a naive model", () => {
    fc.assert(
      fc.property(anyRecords, fc.constantFrom(KEY, ...Object.values(OTHER_KEYS)), (records, key) => {
        const expected = naiveWinners(records, key);
        const winner = winnerOf(records, key);
        if (winner === null) expect(expected).toEqual([]);
        else {
          expect(expected).toContain(winner.measurement);
          expect(winner.key).toEqual(key);
          expect(winner.candidate).toEqual(winner.measurement.candidate);
        }
      }),
      { ...RUNS, numRuns: runsOf(2000) },
    );
  });

  test("never were wrong, and are unmoved by records of other keys", () => {
    fc.assert(
      fc.property(anyRecords, (records) => {
        const winner = winnerOf(records, KEY);
        const own = records.filter(({ key }) => sameKey(key, KEY));
        expect(winnerOf(own, KEY)).toEqual(winner);
        for (const record of own)
          if (record.kind === "rejected" && record.reason === "wrong")
            expect(winner?.candidate.source).not.toBe(record.candidate.source);
      }),
      RUNS,
    );
  });

  test("do not depend on the order of the records", () => {
    fc.assert(
      fc.property(
        anyRecords.chain((records) =>
          fc.tuple(
            fc.constant(records),
            fc.shuffledSubarray([...records], { minLength: records.length, maxLength: records.length }),
          ),
        ),
        ([records, shuffled]) => {
          const winner = winnerOf(records, KEY);
          expect(winnerOf(shuffled, KEY)).toEqual(winner);
          if (winner !== null)
            expect(speedOverFirst(shuffled, winner)).toEqual(speedOverFirst(records, winner));
        },
      ),
      RUNS,
    );
  });

  test("survive pruning, with their speed", () => {
    fc.assert(
      fc.property(anyRecords, fc.boolean(), (records, keepAll) => {
        const { kept, dropped } = pruneRecords(records, { mtac: KEY.mtac, keepAll });
        expect(kept.size + dropped.version + dropped.chosen + dropped.superseded).toBe(records.length);
        const left = records.filter((record) => kept.has(record));
        for (const [key, own] of groupByKey(records)) {
          const winner = key.mtac === KEY.mtac ? winnerOf(own, key) : null;
          expect(winnerOf(left, key)).toEqual(winner);
          if (winner !== null) expect(speedOverFirst(left, winner)).toEqual(speedOverFirst(own, winner));
        }
      }),
      RUNS,
    );
  });

  test("no wrong candidate wins after records were dropped by date, device or target", () => {
    fc.assert(
      fc.property(
        anyRecords,
        fc.record(
          {
            before: fc.nat(6).map((second) => new Date(`2025-01-01T00:00:0${second}.000Z`)),
            device: fc.constantFrom("driver 1.0", "DRIVER"),
            target: fc.constantFrom("webgpu" as const, "cuda" as const),
            keepAll: fc.boolean(),
          },
          { requiredKeys: [] },
        ),
        (records, request) => {
          const { kept } = pruneRecords(records, { mtac: KEY.mtac, ...request });
          const left = records.filter((record) => kept.has(record));
          for (const [key, own] of groupByKey(records)) {
            const source = winnerOf(left, key)?.candidate.source;
            const wrong = own.some(
              (r) => r.kind === "rejected" && r.reason === "wrong" && r.candidate.source === source,
            );
            expect(wrong).toBe(false);
          }
        },
      ),
      RUNS,
    );
  });

  test("are what is exported", () => {
    fc.assert(
      fc.property(anyRecords, (records) => {
        const { entries } = exportTuning(records, { mtac: KEY.mtac });
        const expected = groupByKey(records)
          .filter(([key]) => key.mtac === KEY.mtac)
          .flatMap(([key]) => winnerOf(records, key) ?? [])
          .map(({ key, candidate, measurement: { shape, median, unit } }) => ({
            key,
            candidate,
            shape,
            median,
            unit,
          }));
        expect(entries).toEqual(expected);
      }),
      RUNS,
    );
  });
});

test.each(Object.keys(OTHER_KEYS))("a result whose key differs in %s is not used", (field) => {
  const key = OTHER_KEYS[field] ?? KEY;
  const records = [measured({ key }), rejected({ source: "two", key })];
  expect(winnerOf(records, key)).not.toBeNull();
  expect(winnerOf(records, KEY)).toBeNull();
  expect(finishedMeasurements(records, KEY).size).toBe(0);
  // Nor does a wrong result under one key say anything of another.
  const other = [measured(), rejected({ key })];
  expect(winnerOf(other, KEY)?.candidate.source).toBe("one");
});

describe("one clock at a time", () => {
  test("the device's goes before the wall clock, nanoseconds before cycles", () => {
    const records = [
      measured({ source: "wall", clock: "wall", median: 1 }),
      measured({ source: "cycles", unit: "cycles", median: 2 }),
      measured({ source: "device", median: 300 }),
      measured({ source: "estimate", clock: "estimate", median: 0 }),
    ];
    const order: (string | undefined)[] = [];
    for (let left = records; left.length > 0; ) {
      const source = winnerOf(left, KEY)?.candidate.source;
      order.push(source);
      left = left.filter(({ candidate }) => candidate.source !== source);
    }
    expect(order).toEqual(["device", "cycles", "wall", "estimate"]);
  });

  test("a higher round goes before a better clock", () => {
    const records = [
      measured({ source: "early", median: 1 }),
      measured({ rung: 1, clock: "wall", median: 9 }),
    ];
    expect(winnerOf(records, KEY)?.candidate.source).toBe("one");
  });

  test("of equals the planner's choice wins", () => {
    const records = [
      measured({ source: "a" }),
      measured({ source: "b", first: true }),
      measured({ source: "c" }),
    ];
    expect(winnerOf(records, KEY)?.candidate.source).toBe("b");
  });
});

describe("the speed over the planner's first choice", () => {
  const first = measured({ source: "first", first: true, median: 3000 });

  test("is taken at the highest round that both reached", () => {
    const records = [
      first,
      measured({ source: "best", median: 1500 }),
      measured({ source: "best", rung: 1, median: 1000 }),
    ];
    const winner = winnerOf(records, KEY);
    expect(winner?.measurement.rung).toBe(1);
    expect(winner === null ? null : speedOverFirst(records, winner)).toBe(2);
  });

  test("is not taken between clocks", () => {
    const records = [first, measured({ source: "best", clock: "wall", rung: 1, median: 1 })];
    const winner = winnerOf(records, KEY);
    expect(winner?.candidate.source).toBe("best");
    expect(winner === null ? 0 : speedOverFirst(records, winner)).toBeNull();
  });

  test("is 1 where the first choice won", () => {
    const winner = winnerOf([first], KEY);
    expect(winner === null ? null : speedOverFirst([first], winner)).toBe(1);
  });
});

describe("the nearest winner", () => {
  const { bucket: _bucket, ...setting } = KEY;
  const at = (Lq: number, source: string, B = 1, R = 0): Measurement =>
    measured({ source, key: { ...KEY, bucket: { B, Lq, Lk: Lq, R } } });

  test.each([
    [{ B: 1, Lq: 1000, Lk: 1000, R: 0 }, "1024"],
    [{ B: 1, Lq: 100, Lk: 100, R: 0 }, "256"],
    [{ B: 1, Lq: 9000, Lk: 9000, R: 0 }, "4096"],
    // 256 and 1024 are as near: the larger.
    [{ B: 1, Lq: 512, Lk: 512, R: 0 }, "1024"],
    [{ B: 8, Lq: 1024, Lk: 1024, R: 0 }, "batch"],
    [{ B: 1, Lq: 1024, Lk: 1024, R: 5 }, "history"],
  ])("for %j is that of %s", (shape, source) => {
    const records = [
      at(256, "256"),
      at(1024, "1024"),
      at(4096, "4096"),
      at(1024, "batch", 4),
      at(1024, "history", 1, 4),
    ];
    expect(nearestWinner(records, setting, shape)?.candidate.source).toBe(source);
    expect(nearestWinner([...records].reverse(), setting, shape)?.candidate.source).toBe(source);
  });

  test("is none of another setting, and none where there is none", () => {
    const others = Object.entries(OTHER_KEYS).filter(([field]) => field in setting);
    expect(others).toHaveLength(5);
    const records = others.map(([, key]) => measured({ key }));
    expect(nearestWinner(records, setting, KEY.bucket)).toBeNull();
    expect(nearestWinner([rejected()], setting, KEY.bucket)).toBeNull();
  });

  test("was not wrong at the shape itself", () => {
    const records = [at(256, "x"), rejected({ source: "x" }), at(4096, "y"), at(4096, "z")];
    expect(nearestWinner(records, setting, { B: 1, Lq: 1024, Lk: 1024, R: 0 })?.candidate.source).toBe("y");
    expect(nearestWinner(records, setting, { B: 1, Lq: 300, Lk: 300, R: 0 })?.candidate.source).toBe("x");
  });
});

test("finished measurements are told by candidate and round, the newest of each", () => {
  const old = measured({ median: 1 });
  const recent = measured({ median: 2, at: "2025-01-02T00:00:00.000Z" });
  const next = measured({ rung: 1 });
  const wrong = rejected({ source: "two" });
  const late = rejected({ source: "two", reason: "timeout", at: "2025-01-02T00:00:00.000Z" });
  const finished = finishedMeasurements([late, recent, wrong, old, next], KEY);
  expect([...finished.keys()].sort()).toEqual(["one", "two"]);
  expect(finished.get("one")).toEqual({
    candidate: old.candidate,
    rungs: new Map([
      [0, recent],
      [1, next],
    ]),
    rejection: null,
  });
  expect(finished.get("two")).toMatchObject({ rejection: wrong });
});
