import { describe, expect, test } from "vitest";
import { PeerError } from "../../compiler/bench/peers/index.ts";
import type { Runner } from "../../compiler/bench/runners.ts";
import {
  type Contestant,
  contestant,
  spreadOf,
  type TurnsRequest,
  takeTurns,
} from "../../compiler/bench/turns.ts";
import type { Float64Tensor } from "../../runtime/contract/index.ts";
import { GpuError } from "../../runtime/index.ts";

const BOUND = 1e-3;
const RIGHT = { shape: [2], data: Float64Array.of(1, 2) };

/** A runner that writes down its runs; what it does is overridden where a test asks for it. */
function fake(name: string, log: string[], more: Partial<Runner> = {}): Contestant {
  let time = 0;
  const runner: Runner = {
    warmsItself: false,
    sample: async () => {
      log.push(name);
      time += 1;
      return { time, clock: "device" };
    },
    results: async () => {
      log.push(`${name}?`);
      return new Map([["o", RIGHT]]);
    },
    footprint: () => null,
    close: async () => {},
    ...more,
  };
  return contestant(name, runner, () => BOUND);
}

function turns(contestants: readonly Contestant[], more: Partial<TurnsRequest> = {}): Promise<void> {
  return takeTurns({
    contestants,
    expected: () => new Map<string, Float64Tensor>([["o", RIGHT]]),
    rounds: 2,
    exact: false,
    signal: new AbortController().signal,
    restart: async () => {},
    onTurn: () => {},
    ...more,
  });
}

describe("the order of turns", () => {
  test("all are checked, then warmed up, then timed forwards and backwards", async () => {
    const log: string[] = [];
    const all = ["a", "b", "c"].map((name) => fake(name, log));
    await turns(all, { rounds: 3 });
    expect(log.join(" ")).toBe("a? b? c? a b c a b c c b a a b c");
    // The first run warmed up: it does not count.
    expect(all.map(({ samples }) => samples.map(({ time }) => time))).toEqual([
      [2, 3, 4],
      [2, 3, 4],
      [2, 3, 4],
    ]);
  });

  test("who warms up before each run has no turn for it", async () => {
    const log: string[] = [];
    await turns([fake("a", log), fake("b", log, { warmsItself: true })], { rounds: 1 });
    expect(log.join(" ")).toBe("a? b? a a b");
  });

  test("counts need no warming up", async () => {
    const log: string[] = [];
    await turns([fake("a", log)], { exact: true, rounds: 1 });
    expect(log).toEqual(["a?", "a"]);
  });

  test("progress counts every run, and reaches the end", async () => {
    const seen: string[] = [];
    await turns([fake("a", []), fake("b", [])], {
      rounds: 1,
      onTurn: ({ done, total, name, step }) => seen.push(`${done}/${total} ${step} ${name}`),
    });
    expect(seen).toEqual([
      "0/6 checking a",
      "1/6 checking b",
      "2/6 warming up a",
      "3/6 warming up b",
      "4/6 timing a",
      "5/6 timing b",
    ]);
  });
});

describe("who is out", () => {
  test.each([
    ["wrong", Float64Array.of(1, 2.1), /^o lies 4\.5e-2 from the reference, at most 1e-3 is right$/],
    ["NaN", Float64Array.of(1, Number.NaN), /^o lies Infinity from the reference/],
    ["too short", Float64Array.of(1), /^o lies Infinity from the reference/],
  ])("%s results have no time", async (_name, data, reason) => {
    const log: string[] = [];
    const wrong = fake("wrong", log, {
      results: async () => new Map([["o", { shape: [data.length], data }]]),
    });
    const right = fake("right", log);
    await turns([wrong, right]);
    expect(wrong).toMatchObject({ state: "wrong", reason: expect.stringMatching(reason), samples: [] });
    expect(spreadOf(wrong)).toBeNull();
    expect(log).not.toContain("wrong");
    expect(spreadOf(right)).toMatchObject({ median: 2.5, samples: 2, clock: "device" });
  });

  test("missing results are wrong", async () => {
    const silent = fake("silent", [], { results: async () => new Map() });
    await turns([silent]);
    expect(silent.state).toBe("wrong");
  });

  test("a peer that dies between runs loses its times, the others go on", async () => {
    const log: string[] = [];
    let runs = 0;
    const dies = fake("dies", log, {
      sample: async () => {
        runs += 1;
        if (runs === 3) throw new PeerError("MTA941", "it ended");
        return { time: 1, clock: "wall" };
      },
    });
    const other = fake("other", log);
    await turns([dies, other]);
    expect(dies).toMatchObject({ state: "failed", reason: "it ended", samples: [] });
    expect(other.samples).toHaveLength(2);
  });

  test("a lost device is opened again for the others", async () => {
    const log: string[] = [];
    const loses = fake("loses", log, {
      results: () => Promise.reject(new GpuError("MTA705", "lost")),
    });
    const other = fake("other", log);
    await turns([loses, other], { restart: async () => void log.push("restart") });
    expect(loses).toMatchObject({ state: "failed", reason: "lost" });
    expect(log.slice(0, 2)).toEqual(["restart", "other?"]);
    expect(other.samples).toHaveLength(2);
  });

  test("what is no fault of a contestant ends the benchmark", async () => {
    const broken = fake("broken", [], { sample: () => Promise.reject(new TypeError("a defect")) });
    await expect(turns([broken])).rejects.toThrow("a defect");
  });
});

describe("an interruption", () => {
  test("ends after the run that is under way; what was timed stays", async () => {
    const log: string[] = [];
    const controller = new AbortController();
    const first = fake("first", log);
    const second = fake("second", log, {
      sample: async () => {
        log.push("second");
        if (log.filter((name) => name === "second").length === 2) controller.abort();
        return { time: 7, clock: "device" };
      },
    });
    await turns([first, second, fake("third", log)], { signal: controller.signal });
    expect(log.join(" ")).toBe("first? second? third? first second third first second");
    expect(spreadOf(first)?.samples).toBe(1);
    expect(spreadOf(second)).toMatchObject({ median: 7, samples: 1 });
  });

  test("who was not timed yet says so; a peer that it ended too is not blamed", async () => {
    const controller = new AbortController();
    const peer = fake("peer", [], {
      sample: () => {
        controller.abort();
        return Promise.reject(new PeerError("MTA941", "ended by SIGINT"));
      },
    });
    const later = fake("later", []);
    await turns([peer, later], { signal: controller.signal });
    expect([peer.state, later.state]).toEqual(["interrupted", "interrupted"]);
    expect(peer.reason).toMatch(/^interrupted/);
  });
});
