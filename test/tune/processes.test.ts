import { readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { openStore } from "../../compiler/tune/store.ts";
import { Random } from "../support/random.ts";
import { runsOf, SEED } from "../support/seed.ts";
import { sleep, temporaryFolder, workerFactory } from "./processes.ts";

/** Processes that are killed: MTAC_RUNS multiplies them. */
const KILLS = runsOf(16);
const PRUNER_KILLS = runsOf(8);

const folder = temporaryFolder();
const worker = workerFactory(folder);

function sweepsOf(file: string): { sweeps: string[]; ignored: number } {
  const { records, ignored } = openStore(file).read();
  return { sweeps: records.map(({ sweep }) => sweep), ignored: ignored.length };
}

describe("several processes on one store", () => {
  test("four that append lose nothing and write nothing twice", async () => {
    const file = path.join(folder, "four.jsonl");
    const workers = ["a", "b", "c", "d"].map((name) => worker("append", file, name, 100));
    const said = (await Promise.all(workers.map((each) => each.finished()))).flat();
    expect(said).toHaveLength(400);
    const { sweeps, ignored } = sweepsOf(file);
    expect([...sweeps].sort()).toEqual([...said].sort());
    expect(ignored).toBe(0);
    // Each one's own lines stand in the order in which it wrote them.
    for (const name of ["a", "b", "c", "d"])
      expect(sweeps.filter((sweep) => sweep.startsWith(name))).toEqual(
        Array.from({ length: 100 }, (_, round) => `${name}-${round}`),
      );
  });

  test("rewriting meanwhile loses nothing", async () => {
    const file = path.join(folder, "pruned.jsonl");
    const writers = ["a", "b", "c"].map((name) => worker("append", file, name, 100));
    const pruner = worker("prune", file, "prune", 100);
    const said = (await Promise.all(writers.map((each) => each.finished()))).flat();
    expect(await pruner.finished()).toHaveLength(100);
    expect(said).toHaveLength(300);
    const { sweeps, ignored } = sweepsOf(file);
    expect([...sweeps].sort()).toEqual([...said].sort());
    expect(ignored).toBe(0);
  });

  test(`${KILLS} that are killed at random moments lose nothing that they had finished (seed ${SEED})`, async () => {
    const file = path.join(folder, "killed.jsonl");
    const random = new Random(SEED);
    const said: string[] = [];
    const pruner = worker("prune", file, "prune");
    // Two at a time: a lock that outlives its holder is met by a living process at once.
    const other = worker("append", file, "steady");
    for (let kill = 0; kill < KILLS; kill++) {
      const victim = worker("append", file, `victim-${kill}`);
      await victim.said(1);
      await sleep(random.uniform() * 60);
      said.push(...(await victim.kill()));
    }
    said.push(...(await other.kill()));
    await pruner.kill();
    const last = worker("append", file, "last", 1);
    said.push(...(await last.finished()));
    const present = new Set(sweepsOf(file).sweeps);
    expect(said.filter((sweep) => !present.has(sweep))).toEqual([]);
    expect(said.length, "the victims had time to write").toBeGreaterThan(KILLS);
    console.log(`seed ${SEED}: ${said.length} records were finished, and are there`);
  }, 180_000);

  test("a rewrite that is killed leaves the store as it was, and the next one cleans up", async () => {
    const file = path.join(folder, "half.jsonl");
    await worker("append", file, "a", 3).finished();
    writeFileSync(`${file}.0f3a.rewrite`, '{"check":"0123456789abcdef","rec');
    openStore(file).rewrite((records) => ({ kept: new Set(records.slice(1)) }));
    expect(sweepsOf(file)).toEqual({ sweeps: ["a-1", "a-2"], ignored: 0 });
    expect(readdirSync(folder).filter((name) => name.startsWith("half."))).toEqual(["half.jsonl"]);
  });

  test(`${PRUNER_KILLS} pruners that are killed at random moments lose nothing (seed ${SEED})`, async () => {
    const file = path.join(folder, "pruner-killed.jsonl");
    const random = new Random(SEED + 1);
    const writer = worker("append", file, "steady");
    await writer.said(2);
    for (let kill = 0; kill < PRUNER_KILLS; kill++) {
      const victim = worker("prune", file, "prune");
      await victim.said(1);
      await sleep(random.uniform() * 60);
      await victim.kill();
    }
    const said = await writer.kill();
    const present = new Set(sweepsOf(file).sweeps);
    expect(said.filter((sweep) => !present.has(sweep))).toEqual([]);
  }, 120_000);
});
