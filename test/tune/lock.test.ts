import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { describe, expect, test, vi } from "vitest";
import { withLock } from "../../compiler/tune/lock.ts";
import { formatHolder, newHolder } from "../../compiler/tune/lock-holder.ts";
import { openStore } from "../../compiler/tune/store.ts";
import { MtacError } from "../../runtime/contract/index.ts";
import { sleep, temporaryFolder, workerFactory } from "./processes.ts";
import { measured } from "./records.ts";

const folder = temporaryFolder();
const worker = workerFactory(folder);
let locks = 0;

function newLock(): string {
  return path.join(folder, `${locks++}.lock`);
}

function filesOf(lock: string): readonly string[] {
  return readdirSync(folder).filter((name) => name.startsWith(`${path.basename(lock)}`));
}

/** The number of a process that has ended. */
async function endedProcess(): Promise<number> {
  const short = worker("nothing");
  await short.finished();
  return short.pid;
}

describe("a lock", () => {
  test("is held by one process at a time", async () => {
    const lock = newLock();
    const counter = path.join(folder, "counter");
    writeFileSync(counter, "0");
    const workers = Array.from({ length: 4 }, () => worker("count", lock, counter, 250));
    for (const each of workers) await each.finished();
    expect(readFileSync(counter, "utf8")).toBe("1000");
    expect(filesOf(lock)).toEqual([]);
  });

  test("is free again after an error", () => {
    const lock = newLock();
    expect(() =>
      withLock(lock, () => {
        throw new Error("within");
      }),
    ).toThrow("within");
    expect(withLock(lock, () => 1)).toBe(1);
    expect(filesOf(lock)).toEqual([]);
  });

  test("of a killed process is taken over at once", async () => {
    const lock = newLock();
    const holder = worker("hold", lock);
    await holder.said(2);
    await holder.kill();
    expect(existsSync(lock)).toBe(true);
    const start = performance.now();
    expect(withLock(lock, () => 1)).toBe(1);
    expect(performance.now() - start).toBeLessThan(1000);
    expect(filesOf(lock)).toEqual([]);
  });

  test("of a killed process is taken over by one of many at a time", async () => {
    const counter = path.join(folder, "stale-counter");
    writeFileSync(counter, "0");
    for (let round = 0; round < 5; round++) {
      const lock = newLock();
      writeFileSync(lock, formatHolder({ ...newHolder(), pid: await endedProcess() }));
      const workers = Array.from({ length: 4 }, () => worker("count", lock, counter, 20));
      for (const each of workers) await each.finished();
      expect(filesOf(lock)).toEqual([]);
    }
    expect(readFileSync(counter, "utf8")).toBe("400");
  });

  test("is taken over even where those that tried to were killed as well", async () => {
    const lock = newLock();
    const pid = await endedProcess();
    const [first, second, third] = [newHolder(), newHolder(), newHolder()].map((each) => ({ ...each, pid }));
    if (first === undefined || second === undefined || third === undefined) throw new Error("three holders");
    writeFileSync(lock, formatHolder(first));
    writeFileSync(`${lock}.${first.token}`, formatHolder(second));
    writeFileSync(`${lock}.${second.token}`, formatHolder(third));
    expect(withLock(lock, () => 1)).toBe(1);
    expect(filesOf(lock)).toEqual([]);
  });

  test("that another process has taken over and now holds is not removed by one that comes late", async () => {
    const lock = newLock();
    const ended = { ...newHolder(), pid: await endedProcess() };
    writeFileSync(lock, formatHolder(ended));
    // The late one has seen the ended holder, and waits to be the one that removes its lock …
    const guard = worker("hold", `${lock}.${ended.token}`);
    await guard.said(2);
    const counter = path.join(folder, "late-counter");
    writeFileSync(counter, "0");
    const late = worker("count", lock, counter, 1);
    await late.said(1);
    await sleep(300);
    // … when the lock is held by a process that lives: this one.
    const mine = formatHolder(newHolder());
    writeFileSync(lock, mine);
    await guard.kill();
    await sleep(500);
    expect(readFileSync(lock, "utf8")).toBe(mine);
    expect(readFileSync(counter, "utf8")).toBe("0");
    rmSync(lock);
    await late.finished();
    expect(readFileSync(counter, "utf8")).toBe("1");
    expect(filesOf(lock)).toEqual([]);
  });

  test.runIf(process.platform === "linux")(
    "of a process that is dead, but not yet taken notice of",
    async () => {
      // The shell's child ends when the shell has become something else, which never asks for it.
      const parent = spawn("sh", ["-c", "sleep 0.5 & echo $!; exec sleep 60"], {
        stdio: ["ignore", "pipe", "ignore"],
      });
      const [said] = await once(parent.stdout, "data");
      const pid = Number(String(said));
      await vi.waitFor(() => expect(readFileSync(`/proc/${pid}/stat`, "utf8")).toContain(") Z "), 5000);
      const lock = newLock();
      writeFileSync(lock, formatHolder({ ...newHolder(), pid, started: null }));
      expect(withLock(lock, () => 1, 1000)).toBe(1);
      parent.kill();
    },
  );

  test("of a process that lives is waited for, but not for ever", async () => {
    const lock = newLock();
    const holder = worker("hold", lock);
    await holder.said(2);
    const start = performance.now();
    try {
      withLock(lock, () => 1, 300);
      throw new Error("two hold it");
    } catch (error) {
      expect(error).toBeInstanceOf(MtacError);
      expect(error).toMatchObject({
        code: "MTA872",
        message: `the lock ${lock} is still held by process ${holder.pid} after 0.3 s`,
        remedy: expect.stringContaining(lock),
      });
    }
    expect(performance.now() - start).toBeLessThan(3000);
    await holder.kill();
    expect(withLock(lock, () => 1)).toBe(1);
  });

  test.runIf(process.platform === "linux")("of an earlier process with the same number is taken over", () => {
    const lock = newLock();
    // This process lives, but began at another time than the holder.
    writeFileSync(lock, formatHolder({ ...newHolder(), started: "1" }));
    expect(withLock(lock, () => 1, 1000)).toBe(1);
  });

  test("of a process that cannot be seen from here is taken over when nothing has changed for long", async () => {
    const counter = path.join(folder, "unseen-counter");
    writeFileSync(counter, "0");
    const start = performance.now();
    const texts = [formatHolder({ ...newHolder(), where: "elsewhere" }), "", "half a na"];
    const workers = texts.map((text) => {
      const lock = newLock();
      writeFileSync(lock, text);
      return worker("count", lock, counter, 1);
    });
    const waited = await Promise.all(
      workers.map((each) => each.finished().then(() => performance.now() - start)),
    );
    for (const milliseconds of waited) expect(milliseconds).toBeGreaterThan(9_000);
    for (const milliseconds of waited) expect(milliseconds).toBeLessThan(20_000);
  });

  test("that was taken over is noticed by its former holder, and left alone", () => {
    const lock = newLock();
    const other = formatHolder(newHolder());
    expect(() =>
      withLock(lock, (held) => {
        held.check();
        writeFileSync(lock, other);
        held.check();
      }),
    ).toThrow(expect.objectContaining({ code: "MTA873" }));
    expect(readFileSync(lock, "utf8")).toBe(other);
  });

  test("leftovers of killed processes are removed when they are old", async () => {
    const lock = newLock();
    const old = `${lock}.0a.new`;
    const young = `${lock}.0b.new`;
    for (const file of [old, young]) writeFileSync(file, "");
    const hours = Date.now() / 1000 - 7200;
    utimesSync(old, hours, hours);
    writeFileSync(lock, formatHolder({ ...newHolder(), pid: await endedProcess() }));
    withLock(lock, () => {});
    expect(filesOf(lock)).toEqual([path.basename(young)]);
  });
});

test("a store whose tuner was killed in the middle of it is written on", async () => {
  const file = path.join(folder, "killed.jsonl");
  const holder = worker("hold", `${file}.lock`);
  await holder.said(2);
  await holder.kill();
  openStore(file).append(measured());
  expect(openStore(file).read().records).toHaveLength(1);
});

test("a holder's machine is told", () => {
  expect(newHolder().where).toContain(os.hostname());
});
