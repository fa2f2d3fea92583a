import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  appendFileSync,
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import * as fc from "fast-check";
import { afterAll, describe, expect, test, vi } from "vitest";
import { formatLine, readLines } from "../../compiler/tune/lines.ts";
import { formatHolder, newHolder } from "../../compiler/tune/lock-holder.ts";
import type { TuningRecord } from "../../compiler/tune/record.ts";
import { openStore } from "../../compiler/tune/store.ts";
import { MtacError } from "../../runtime/contract/index.ts";
import { runsOf, SEED } from "../support/seed.ts";
import { temporaryFolder, workerFactory } from "./processes.ts";
import { measured, rejected } from "./records.ts";

const folder = temporaryFolder();
let files = 0;

function newFile(): string {
  return path.join(folder, `store-${files++}.jsonl`);
}

/** A store of records whose sweeps are numbered from 0. */
function filledStore(count: number): { file: string; records: readonly TuningRecord[] } {
  const file = newFile();
  const records = Array.from({ length: count }, (_, index) => measured({ sweep: String(index) }));
  openStore(file).appendMissing(records);
  return { file, records };
}

/** A line whose checksum fits its text, whatever that is. */
function lineWith(record: string): string {
  const check = createHash("sha256").update(record).digest("hex").slice(0, 16);
  return `{"check":"${check}","record":${record}}`;
}

function errorOf(action: () => unknown): MtacError {
  try {
    action();
  } catch (error) {
    if (error instanceof MtacError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("a store", () => {
  test("gives back what was appended, in that order, from a folder that was not there", () => {
    const file = path.join(folder, "new", "folder", "tuning.jsonl");
    const records = [
      measured({ first: true, sweep: "zwei\nZeilen, “quoted”" }),
      rejected(),
      measured({ median: 0.1 + 0.2 }),
    ];
    for (const record of records) openStore(file).append(record);
    expect(openStore(file).read()).toEqual({ records, ignored: [] });
    // One JSON object a line, and nothing left beside.
    for (const line of readFileSync(file, "utf8").trimEnd().split("\n"))
      expect(JSON.parse(line)).toMatchObject({ check: expect.stringMatching(/^[0-9a-f]{16}$/) });
    expect(readdirSync(path.dirname(file))).toEqual(["tuning.jsonl"]);
  });

  test("that is not there is empty, and reading does not make it", () => {
    const file = newFile();
    expect(openStore(file).read()).toEqual({ records: [], ignored: [] });
    expect(existsSync(file)).toBe(false);
  });

  test("takes no file of another kind, and leaves it as it is", () => {
    const file = newFile();
    const text = "# Notes\n\nnothing measured\n";
    writeFileSync(file, text);
    expect(errorOf(() => openStore(file).append(measured())).code).toBe("MTA931");
    expect(errorOf(() => openStore(file).appendMissing([measured()])).code).toBe("MTA931");
    expect(errorOf(() => openStore(file).check()).code).toBe("MTA931");
    expect(readFileSync(file, "utf8")).toBe(text);
    // A first line that was cut short does not make it one.
    for (const cut of ['{"che', '{"check":"0123', "\n"]) {
      writeFileSync(file, cut);
      openStore(file).append(measured());
      expect(openStore(file).read().records).toHaveLength(1);
    }
  });

  test("that is read-only, or no file, is not written to", () => {
    const { file } = filledStore(2);
    const text = readFileSync(file, "utf8");
    chmodSync(file, 0o444);
    for (const attempt of [
      () => openStore(file).append(measured()),
      () => openStore(file).appendMissing([measured()]),
      () => openStore(file).rewrite(() => ({ kept: new Set() })),
    ]) {
      const { code, message } = errorOf(attempt);
      expect(code).toBe("MTA871");
      expect(message).toContain("the file is read-only");
    }
    expect(readFileSync(file, "utf8")).toBe(text);
    expect(errorOf(() => openStore("/dev/null").check()).message).toContain("it is no file");
  });

  test("keeps its mode when it is rewritten", () => {
    const { file } = filledStore(2);
    // More than a usual umask allows.
    chmodSync(file, 0o666);
    openStore(file).rewrite(([first]) => ({ kept: new Set(first === undefined ? [] : [first]) }));
    expect(openStore(file).read().records).toHaveLength(1);
    expect(statSync(file).mode & 0o777).toBe(0o666);
  });

  test("lies in the cache folder by default", () => {
    vi.stubEnv("XDG_CACHE_HOME", path.join(folder, "cache"));
    expect(openStore().file).toBe(path.join(folder, "cache", "mtac", "tuning.jsonl"));
    vi.unstubAllEnvs();
  });

  test("takes missing records once", () => {
    const { file, records } = filledStore(3);
    const more = [measured({ sweep: "new" }), ...records, measured({ sweep: "new" })];
    expect(openStore(file).appendMissing(more)).toBe(1);
    expect(
      openStore(file)
        .read()
        .records.map(({ sweep }) => sweep),
    ).toEqual(["0", "1", "2", "new"]);
  });

  test("refuses what it could not read back", () => {
    const file = newFile();
    for (const bad of [
      measured({ median: Number.NaN }),
      measured({ samples: 0 }),
      measured({ rung: -1 }),
      rejected({ at: "yesterday" }),
    ])
      expect(() => openStore(file).append(bad)).toThrow(RangeError);
    expect(existsSync(file)).toBe(false);
  });

  test("is reached through a link, which stays one", () => {
    const { file, records } = filledStore(3);
    const link = newFile();
    symlinkSync(file, link);
    openStore(link).append(measured({ sweep: "linked" }));
    openStore(link).rewrite((found) => ({ kept: new Set(found.slice(1)) }));
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    expect(
      openStore(file)
        .read()
        .records.map(({ sweep }) => sweep),
    ).toEqual(["1", "2", "linked"]);
    expect(records).toHaveLength(3);
  });

  test("rewriting keeps lines as they are, with fields that only later versions know", () => {
    const { file, records } = filledStore(1);
    const line = lineWith(JSON.stringify({ ...measured({ sweep: "later" }), power: 300 }));
    appendFileSync(file, `${line}\n`);
    expect(openStore(file).read().records).toEqual([...records, measured({ sweep: "later" })]);
    openStore(file).rewrite((found) => ({ kept: new Set(found.slice(1)) }));
    expect(readFileSync(file, "utf8")).toBe(`${line}\n`);
  });
});

describe("a lock that was taken over meanwhile", () => {
  test("lets nothing be rewritten", () => {
    const { file, records } = filledStore(2);
    const lock = `${file}.lock`;
    const rewrite = (): unknown =>
      openStore(file).rewrite((found) => {
        writeFileSync(lock, formatHolder(newHolder()));
        return { kept: new Set(found.slice(1)) };
      });
    expect(errorOf(rewrite)).toMatchObject({ code: "MTA873", remedy: expect.stringContaining("nothing") });
    rmSync(lock);
    expect(openStore(file).read()).toEqual({ records, ignored: [] });
    expect(readdirSync(folder).filter((name) => name.startsWith(`${path.basename(file)}.`))).toEqual([]);
  });
});

describe("a damaged store", () => {
  test("every truncation keeps all whole lines, and the next record", () => {
    const { file, records } = filledStore(2);
    const whole = readFileSync(file);
    for (let length = 0; length < whole.length; length++) {
      writeFileSync(file, whole);
      truncateSync(file, length);
      const lines = whole.subarray(0, length).toString().split("\n");
      // Without its line end, a line may be whole all the same.
      const rest = lines.pop() ?? "";
      const complete = lines.length + (rest !== "" && whole[length] === 0x0a ? 1 : 0);
      const next = measured({ sweep: "next" });
      openStore(file).append(next);
      const read = openStore(file).read();
      expect(read.records).toEqual([...records.slice(0, complete), next]);
      expect(read.ignored).toHaveLength(rest === "" || complete > lines.length ? 0 : 1);
    }
  });

  test(`any changed byte costs its own line at most (seed ${SEED})`, () => {
    const { file, records } = filledStore(5);
    const whole = readFileSync(file);
    const ends = [...whole.entries()].flatMap(([at, byte]) => (byte === 0x0a ? [at] : []));
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const bytes = Buffer.from(whole);
        bytes[at] = (bytes[at] ?? 0) ^ change;
        const read = readLines(bytes).lines.map(({ record }) => record);
        // Never a record that nobody wrote.
        for (const record of read) expect(records).toContainEqual(record);
        const hit = ends.findIndex((end) => at <= end);
        const joined = ends[hit] === at;
        for (const [index, record] of records.entries())
          if (index !== hit && !(joined && index === hit + 1)) expect(read).toContainEqual(record);
      }),
      { seed: SEED, numRuns: runsOf(500) },
    );
  });

  test(`lines spliced from two are no records (seed ${SEED})`, () => {
    const one = formatLine(measured({ median: 1 })).trimEnd();
    const two = formatLine(measured({ median: 123456, source: "two" })).trimEnd();
    fc.assert(
      fc.property(fc.nat(one.length), fc.nat(two.length), (head, tail) => {
        const spliced = one.slice(0, head) + two.slice(tail);
        fc.pre(spliced !== one && spliced !== two && spliced !== "");
        const { lines, ignored } = readLines(Buffer.from(`${spliced}\n${two}\n`));
        expect(lines.map(({ text }) => text)).toEqual([two]);
        expect(ignored).toEqual([{ line: 1, why: expect.stringContaining("damaged") }]);
      }),
      { seed: SEED, numRuns: runsOf(5000) },
    );
  });

  test("says of each line that it ignores why", () => {
    const { file, records } = filledStore(1);
    const line = readFileSync(file, "utf8").trimEnd();
    appendFileSync(file, `\0\0\0\n\n[]\n${line.replace('"median":1000', '"median":1')}\n`);
    appendFileSync(file, `${lineWith("{}")}\n${lineWith("{1}")}\n{"check":`);
    expect(openStore(file).read()).toEqual({
      records,
      ignored: [
        { line: 2, why: "damaged: it holds no record" },
        { line: 4, why: "damaged: it holds no record" },
        { line: 5, why: "damaged: its checksum does not fit" },
        { line: 6, why: "its format is not that of this version of mtac" },
        { line: 7, why: "damaged: its record is no JSON" },
        { line: 8, why: "unfinished: damaged: it holds no record" },
      ],
    });
  });

  test("is mended by rewriting", () => {
    const { file, records } = filledStore(2);
    appendFileSync(file, '{"check":');
    const { ignored } = openStore(file).rewrite((found) => ({ kept: new Set(found) }));
    expect(ignored).toHaveLength(1);
    expect(openStore(file).read()).toEqual({ records, ignored: [] });
  });

  test("line ends of Windows do no harm", () => {
    const { file, records } = filledStore(2);
    writeFileSync(file, readFileSync(file, "utf8").replaceAll("\n", "\r\n"));
    expect(openStore(file).read()).toEqual({ records, ignored: [] });
  });
});

describe("a place that cannot be written", () => {
  test("says so, with the path and a remedy", () => {
    const file = newFile();
    writeFileSync(file, "");
    const under = path.join(file, "tuning.jsonl");
    expect(errorOf(() => openStore(under).append(measured()))).toMatchObject({
      code: "MTA871",
      message: expect.stringContaining(under),
      remedy: expect.stringContaining("--store"),
    });
    mkdirSync(`${file}.folder`);
    expect(errorOf(() => openStore(`${file}.folder`).append(measured()))).toMatchObject({ code: "MTA871" });
    expect(errorOf(() => openStore(`${file}.folder`).read())).toMatchObject({
      code: "MTA870",
      message: expect.stringContaining("it is a folder"),
    });
  });
});

const mounted = mountSmall(path.join(folder, "disk"));

describe("a full disk", () => {
  if (!mounted) {
    test("is not tested on this machine", () => {
      console.warn(
        "NOT TESTED: stores on full and read-only disks. Mounting a small tmpfs needs Linux and root.",
      );
      expect(process.getuid?.() === 0 && process.platform === "linux", "root can mount").toBe(false);
    });
    return;
  }
  const disk = path.join(folder, "disk");

  test("costs the record that does not fit, and no other", async () => {
    const file = path.join(disk, "tuning.jsonl");
    const finished: TuningRecord[] = [];
    const fill = (): MtacError =>
      errorOf(() => {
        while (finished.length < 5000) {
          // Of many lengths: where a line is cut must not matter.
          const record = measured({ sweep: "x".repeat(finished.length % 97) });
          openStore(file).append(record);
          finished.push(record);
        }
      });
    const refused = fill();
    expect(refused).toMatchObject({
      code: "MTA871",
      message: expect.stringContaining("no space is left on the device"),
      remedy: expect.stringContaining("free some space"),
    });
    expect(finished.length).toBeGreaterThan(50);
    expect(openStore(file).read().records).toEqual(finished);
    // Trying again and again makes nothing worse.
    for (let attempt = 0; attempt < 5; attempt++) expect(fill().code).toBe("MTA871");
    expect(readdirSync(disk)).toEqual(["tuning.jsonl"]);

    // Another process, once there is space.
    expect(spawnSync("mount", ["-o", "remount,size=1m", disk]).status).toBe(0);
    const worker = workerFactory(folder);
    const said = await worker("append", file, "later", 5).finished();
    const { records, ignored } = openStore(file).read();
    expect(records.slice(0, finished.length)).toEqual(finished);
    expect(records.slice(finished.length).map(({ sweep }) => sweep)).toEqual(said);
    expect(ignored.length).toBeLessThanOrEqual(1);
    expect(spawnSync("mount", ["-o", "remount,size=256k", disk]).status).toBe(0);
  });

  test("leaves the store as it was when it cannot be rewritten", () => {
    const file = path.join(disk, "rewritten.jsonl");
    openStore(file).appendMissing(
      Array.from({ length: 150 }, (_, index) => measured({ sweep: String(index) })),
    );
    const before = readFileSync(file);
    const rest = path.join(disk, "rest");
    errorOf(() => {
      try {
        for (;;) appendFileSync(rest, Buffer.alloc(4096));
      } catch (cause) {
        // Room for the lock, not for the store.
        truncateSync(rest, Math.max(0, lstatSync(rest).size - 8192));
        throw new MtacError("full", "input", String(cause));
      }
    });
    expect(errorOf(() => openStore(file).rewrite((all) => ({ kept: new Set(all.slice(1)) }))).code).toBe(
      "MTA871",
    );
    expect(readFileSync(file).equals(before)).toBe(true);
    rmSync(rest);
    expect(readdirSync(disk).filter((name) => name.startsWith("rewritten."))).toEqual(["rewritten.jsonl"]);
  });

  test("a read-only one is read, and says that it cannot be written", () => {
    const file = path.join(disk, "read-only.jsonl");
    openStore(file).append(measured());
    expect(spawnSync("mount", ["-o", "remount,ro", disk]).status).toBe(0);
    expect(errorOf(() => openStore(file).append(measured()))).toMatchObject({
      code: "MTA871",
      message: expect.stringContaining("the file system is read-only"),
    });
    expect(openStore(file).read().records).toEqual([measured()]);
  });
});

/** A file system of 64 KiB, where this process may make one. */
function mountSmall(place: string): boolean {
  mkdirSync(place);
  const { status } = spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "mtac-test", place]);
  if (status !== 0) return false;
  afterAll(() => void spawnSync("umount", [place]));
  return true;
}
