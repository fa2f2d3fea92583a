import { describe, expect, test } from "vitest";
import { randomCall } from "../../compiler/execution/random-call.ts";
import { quartiles, rungsOf, withoutDrift } from "../../compiler/tune/halving.ts";
import type { TuningRecord } from "../../compiler/tune/record.ts";
import { runSweep } from "../../compiler/tune/sweep.ts";
import type { TrialCandidate } from "../../compiler/tune/trial-candidates.ts";
import { winnerOf } from "../../compiler/tune/winner.ts";
import type { Plan } from "../../runtime/contract/index.ts";
import { SEED } from "../support/seed.ts";
import {
  type Behaviour,
  KEY,
  probePipeline,
  probeShape,
  SimulatedMeter,
  someCandidates,
  sweepRequest,
} from "./simulated.ts";

const MILLISECOND = 1e6;

/** A meter on which candidate i behaves as a function says. */
function meterOf(
  candidates: readonly TrialCandidate[],
  behaviour: (index: number) => Behaviour,
  options: { exact?: boolean; noise?: number } = {},
): SimulatedMeter {
  const places = new Map<Plan, number>(candidates.map(({ plan }, index) => [plan, index]));
  const meter = new SimulatedMeter((plan) => behaviour(places.get(plan) ?? -1), options);
  meter.checked = randomCall(probePipeline, probeShape, { seed: 5, layer: undefined, grad: false });
  return meter;
}

function sourcesIn(records: readonly TuningRecord[]): ReadonlySet<string> {
  return new Set(records.map(({ candidate }) => candidate.source));
}

describe("successive halving", () => {
  test.each([1, 2, 3, 4, 9, 16, 32, 100])(
    "with %i candidates ends with a few that are run often",
    (count) => {
      const rungs = rungsOf(count, false);
      expect(rungs.at(-1)?.keep).toBe(1);
      let left = count;
      for (const { keep, runs } of rungs) {
        expect(keep).toBeLessThanOrEqual(Math.max(left, 4));
        expect(runs).toBeGreaterThan(0);
        left = keep;
      }
      expect(rungs.map(({ runs }) => runs)).toEqual([...rungs.map(({ runs }) => runs)].sort((a, b) => a - b));
    },
  );

  test("one run is enough where it tells all", () => {
    expect(rungsOf(50, true)).toEqual([{ keep: 1, runs: 1 }]);
  });

  test("quartiles of a few values", () => {
    expect(quartiles([4, 1, 3, 2])).toEqual({ low: 1.75, median: 2.5, high: 3.25 });
    expect(quartiles([7])).toEqual({ low: 7, median: 7, high: 7 });
  });

  test("a drift that meets all candidates alike is taken out", () => {
    const turns = [1, 3, 2].map((factor) => [10 * factor, 20 * factor]);
    for (const [first = 0, second = 0] of withoutDrift(turns)) {
      expect(first).toBeCloseTo(20, 10);
      expect(second).toBeCloseTo(40, 10);
    }
  });
});

describe("a sweep", () => {
  const candidates = someCandidates(24);

  test.each([0, 1, 2, 3, 4])(`finds the fastest in spite of noise (seed ${SEED} + %i)`, async (more) => {
    const best = 11;
    const meter = meterOf(
      candidates,
      (index) => ({ time: (index === best ? 3 : 5 + (index % 7)) * MILLISECOND }),
      {
        noise: SEED + more,
      },
    );
    const records: TuningRecord[] = [];
    const result = await runSweep(sweepRequest(meter, candidates, records));
    expect(result.ended).toBe("finished");
    expect(result.best).toBe(candidates[best]);
    expect(winnerOf(records, KEY)?.candidate).toEqual(candidates[best]?.identity);
    expect(result.measured).toBe(candidates.length);
    // Far fewer runs than all candidates as long as the finalists.
    const longest = Math.max(...meter.runs.values());
    expect(result.runs).toBeLessThan(0.5 * candidates.length * longest);
  });

  test("measures the planner's own choice to the end, whatever its time", async () => {
    const meter = meterOf(candidates, (index) => ({ time: (index === 0 ? 8 : 3 + index) * MILLISECOND }));
    const records: TuningRecord[] = [];
    await runSweep(sweepRequest(meter, candidates, records));
    const last = Math.max(...records.map((record) => (record.kind === "measured" ? record.rung : 0)));
    expect(
      records.filter((record) => record.kind === "measured" && record.first === true && record.rung === last),
    ).toHaveLength(1);
  });

  test("a small share has the rounds of the largest one, so that their results compare", async () => {
    const last = async (count: number, more: { largestShare?: number }): Promise<number> => {
      const own = candidates.slice(0, count);
      const records: TuningRecord[] = [];
      await runSweep(
        sweepRequest(
          meterOf(own, (index) => ({ time: (3 + index) * MILLISECOND })),
          own,
          records,
          more,
        ),
      );
      return Math.max(...records.map((record) => (record.kind === "measured" ? record.rung : 0)));
    };
    const rounds = await last(24, {});
    expect(await last(2, { largestShare: 24 })).toBe(rounds);
    expect(await last(2, {})).toBeLessThan(rounds);
  });

  test("never chooses what is wrong, does not compile or loses the device, and says why", async () => {
    const faults: Readonly<Record<number, Behaviour["fault"]>> = {
      1: "wrong",
      3: "compile",
      6: "device-lost",
    };
    const meter = meterOf(candidates, (index) => {
      const fault = faults[index];
      return fault === undefined ? { time: (9 + index) * MILLISECOND } : { time: MILLISECOND, fault };
    });
    const records: TuningRecord[] = [];
    const result = await runSweep(sweepRequest(meter, candidates, records));
    expect(result.best).toBe(candidates[0]);
    expect(meter.restarts).toBe(1);
    const rejected = records.filter((record) => record.kind === "rejected");
    expect(rejected.map(({ candidate, reason }) => [candidate.source, reason])).toEqual([
      [candidates[1]?.identity.source, "wrong"],
      [candidates[3]?.identity.source, "compile"],
      [candidates[6]?.identity.source, "device-lost"],
    ]);
    expect(winnerOf(records, KEY)?.candidate.source).toBe(candidates[0]?.identity.source);
    // The next sweep does not touch them again.
    const again = meterOf(candidates, (index) => ({ time: (9 + index) * MILLISECOND }));
    const second = await runSweep(sweepRequest(again, candidates, records, { known: records }));
    expect(second.rejected).toHaveLength(3);
    expect(again.opened).toBe(0);
    expect(second.best).toBe(candidates[0]);
  });

  test("goes on where it was cut off", async () => {
    const behaviour = (index: number): Behaviour => ({ time: (4 + ((index * 5) % 13)) * MILLISECOND });
    const records: TuningRecord[] = [];
    const stopped = new AbortController();
    const first = meterOf(candidates, behaviour);
    const cut = await runSweep(
      sweepRequest(first, candidates, records, {
        signal: stopped.signal,
        record: (record) => {
          records.push(record);
          if (records.length === 7) stopped.abort();
        },
      }),
    );
    expect(cut.ended).toBe("interrupted");
    expect(records).toHaveLength(7);
    const before = sourcesIn(records);
    const second = meterOf(candidates, behaviour);
    const result = await runSweep(sweepRequest(second, candidates, records, { known: [...records] }));
    expect(result.ended).toBe("finished");
    expect(result.remembered).toBe(7);
    expect(result.measured).toBe(candidates.length - 7);
    // What was known is opened again only where it is compared with others.
    const openedAgain = candidates.filter(
      ({ identity, plan }) => before.has(identity.source) && second.runs.has(plan),
    );
    expect(openedAgain.length).toBeLessThan(7);
    expect(winnerOf(records, KEY)?.candidate).toEqual(candidates[0]?.identity);
  });

  test.each([0, 1, 2, 3, 4, 5, 6, 7])(
    `knows all that a finished sweep has measured, whatever the noise was (seed ${SEED} + %i)`,
    async (more) => {
      const behaviour = (index: number): Behaviour => ({ time: (4 + (index % 3) / 20) * MILLISECOND });
      const records: TuningRecord[] = [];
      const noisy = meterOf(candidates, behaviour, { noise: SEED + more });
      const first = await runSweep(sweepRequest(noisy, candidates, records));
      const again = meterOf(candidates, behaviour, { noise: SEED - more - 1 });
      const second = await runSweep(sweepRequest(again, candidates, records, { known: [...records] }));
      expect(second.runs).toBe(0);
      expect(second.best).toBe(first.best);
    },
  );

  test("begins no run after its budget, and keeps what it has", async () => {
    const meter = meterOf(candidates, (index) => ({ time: (3 + index) * MILLISECOND }));
    const records: TuningRecord[] = [];
    const result = await runSweep(sweepRequest(meter, candidates, records, { budgetMs: 0 }));
    expect(result).toMatchObject({ ended: "budget", best: null, runs: 0 });
    expect(records).toEqual([]);
  });

  test("counts each candidate once where counts are exact", async () => {
    const meter = meterOf(candidates, (index) => ({ time: 1000 - index }), { exact: true });
    const records: TuningRecord[] = [];
    const result = await runSweep(sweepRequest(meter, candidates, records));
    expect(result.runs).toBe(candidates.length);
    expect(result.best).toBe(candidates.at(-1));
  });

  test("a full disk ends the sweep: nothing is measured in vain", async () => {
    const meter = meterOf(candidates, () => ({ time: MILLISECOND }));
    const full = new Error("no space left");
    const record = (): void => {
      throw full;
    };
    await expect(runSweep(sweepRequest(meter, candidates, [], { record }))).rejects.toBe(full);
    expect([...meter.runs.keys()]).toHaveLength(1);
  });
});
