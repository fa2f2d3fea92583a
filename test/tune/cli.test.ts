import { appendFileSync, existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { packageVersion } from "../../compiler/package.ts";
import { readTuningExport } from "../../compiler/tune/export.ts";
import { specHash, type TuningKey, type TuningRecord } from "../../compiler/tune/record.ts";
import { openStore } from "../../compiler/tune/store.ts";
import { type CliResult, mtac, temporaryFolder, write } from "../cli/harness.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { KEY, measured, rejected } from "./records.ts";

const folder = temporaryFolder();
const SPEC = `attention one { heads 4 head_dim 32 scores { conv 3x5 } }
attention two { heads 4 head_dim 32 }
attention same extends two { }
`;
const spec = write(folder, "tuned.mta", SPEC);

function keyOf(attention: string, changes: Partial<TuningKey> = {}): TuningKey {
  return { ...KEY, mtac: packageVersion(), spec: specHash(pipelineOf(SPEC, attention)), ...changes };
}

const one = keyOf("one");
const two = keyOf("two", {
  target: "cuda-emulated",
  direction: "backward",
  device: "emulated sm_80",
  bucket: { B: 2, Lq: 64, Lk: 128, R: 8 },
});
const RECORDS: readonly TuningRecord[] = [
  measured({ key: one, source: "first", first: true, median: 3_000_000 }),
  measured({ key: one, source: "best", median: 1_400_000 }),
  measured({ key: one, source: "slow", median: 9_000_000 }),
  rejected({ key: one, source: "wrong" }),
  measured({ key: one, source: "best", rung: 1, median: 1_500_000 }),
  measured({ key: two, source: "cycles", unit: "cycles", clock: "estimate", median: 123_456 }),
  measured({ key: keyOf("one", { mtac: "0.0.1" }), source: "ancient", median: 1 }),
];

/** A new store of these records, by the name of a test. */
function storeOf(name: string, records: readonly TuningRecord[] = RECORDS): string {
  const file = path.join(folder, `${name}.jsonl`);
  openStore(file).appendMissing(records);
  return file;
}

function json(result: CliResult): unknown {
  expect(result).toMatchObject({ code: 0 });
  return JSON.parse(result.stdout);
}

describe("tune show", () => {
  test("lists the winners", () => {
    const file = storeOf("show");
    const { code, stdout, stderr } = mtac(["tune", "show", spec, "--store", file], {
      env: { COLUMNS: "200" },
    });
    expect(stdout.split("\n").map((line) => line.trimEnd())).toEqual([
      "attention  pass      target             device                shape                                   median  speed  candidates              winner",
      "one        forward   webgpu f32         Some GPU, driver 1.0  1 × 1024 × 1024                         1.5 ms  2.14×  3 measured, 1 rejected  single_pass  tile_q 16  workgroup 64",
      "two, same  backward  cuda-emulated f32  emulated sm_80        2 × 64 × 128 after 8  123 k cycles (estimated)         1 measured, 0 rejected  single_pass  tile_q 16  workgroup 64",
      "",
    ]);
    expect(stderr).toBe("1 record of other versions of mtac: never used; `mtac tune prune` drops them\n");
    expect(code).toBe(0);
  });

  test("as JSON", () => {
    const file = storeOf("show-json");
    appendFileSync(file, "half a li");
    const result = mtac(["tune", "show", spec, "--name", "one", "--store", file, "--json"]);
    expect(json(result)).toEqual({
      store: file,
      entries: [
        {
          attention: "one",
          key: one,
          winner: { candidate: RECORDS[4]?.candidate, measurement: RECORDS[4] },
          speedOverFirst: 3 / 1.4,
          measured: 3,
          rejected: 1,
        },
      ],
      otherVersions: 1,
      ignored: [{ line: 8, why: "unfinished: damaged: it holds no record" }],
    });
    expect(result.stderr).toContain(`note: 1 line of ${file} is not used (line 8: unfinished`);
  });

  test("of one target, without a spec: by hashes", () => {
    const file = storeOf("show-target");
    const { stdout } = mtac(["tune", "show", "--target", "cuda-emulated", "--store", file]);
    expect(stdout).toContain(two.spec.slice(0, 12));
    expect(stdout).not.toContain(one.spec.slice(0, 12));
  });

  test("every record with --all", () => {
    const file = storeOf("show-all");
    expect(json(mtac(["tune", "show", "--all", "--json", "--store", file]))).toEqual({
      store: file,
      records: RECORDS,
      ignored: [],
    });
    const { stdout } = mtac(["tune", "show", spec, "--all", "--store", file], { env: { COLUMNS: "200" } });
    expect(stdout.trimEnd().split("\n")).toHaveLength(1 + RECORDS.length);
    expect(stdout).toContain("wrong (MTA000)");
    expect(stdout).toMatch(/ 0\.0\.1 +one /);
  });

  test("an empty store, in the cache folder by default", () => {
    const { code, stdout } = mtac(["tune", "show"], { env: { XDG_CACHE_HOME: folder } });
    expect(stdout).toBe(`${path.join(folder, "mtac", "tuning.jsonl")} holds no results that fit\n`);
    expect(existsSync(path.join(folder, "mtac"))).toBe(false);
    expect(code).toBe(0);
  });
});

describe("tune export", () => {
  test("writes the winners of a spec", () => {
    const file = storeOf("export");
    const out = path.join(folder, "tuned.json");
    const { code, stdout } = mtac(["tune", "export", spec, "--out", out, "--store", file]);
    expect(stdout).toBe(`✓ 2 winners in ${out}\n`);
    expect(code).toBe(0);
    expect(readTuningExport(JSON.parse(readFileSync(out, "utf8")), out)).toEqual({
      format: 1,
      mtac: packageVersion(),
      entries: [
        {
          key: one,
          candidate: RECORDS[4]?.candidate,
          shape: RECORDS[4]?.shape,
          median: 1_500_000,
          unit: "ns",
        },
        {
          key: two,
          candidate: RECORDS[5]?.candidate,
          shape: RECORDS[5]?.shape,
          median: 123_456,
          unit: "cycles",
        },
      ],
    });
    expect(
      json(mtac(["tune", "export", spec, "--name", "two", "--out", out, "--store", file, "--json"])),
    ).toEqual({ store: file, file: out, entries: 1 });
  });

  test("writes nothing where there is nothing", () => {
    const out = path.join(folder, "nothing.json");
    const result = mtac([
      "tune",
      "export",
      spec,
      "--target",
      "cuda",
      "--out",
      out,
      "--store",
      storeOf("none"),
    ]);
    expect(result).toMatchObject({ code: 1, stderr: expect.stringContaining("MTA921") });
    expect(existsSync(out)).toBe(false);
  });
});

describe("tune prune", () => {
  test("drops other versions, superseded and damaged records, and says how many", () => {
    const file = storeOf("prune");
    appendFileSync(file, "half a li");
    const before = readFileSync(file);
    const counts = "1 of other versions of mtac, 1 superseded, 0 chosen, 1 damaged";
    expect(mtac(["tune", "prune", "--dry-run", "--store", file])).toMatchObject({
      code: 0,
      stdout: `3 records would be dropped from ${file}: ${counts}; 5 would stay\n`,
    });
    expect(readFileSync(file).equals(before)).toBe(true);
    const shown = json(mtac(["tune", "show", "--json", "--store", file]));
    expect(mtac(["tune", "prune", "--store", file])).toMatchObject({
      code: 0,
      stdout: `3 records dropped from ${file}: ${counts}; 5 stay\n`,
    });
    expect(openStore(file).read()).toEqual({
      records: RECORDS.filter(({ candidate }) => !["slow", "ancient"].includes(candidate.source)),
      ignored: [],
    });
    const after = json(mtac(["tune", "show", "--json", "--store", file]));
    const winners = (value: unknown): string =>
      JSON.stringify(value).replaceAll(/"measured":\d+|"otherVersions":.*/g, "");
    expect(winners(after)).toBe(winners(shown));
  });

  test.each([
    [["--keep-all"], { version: 1, superseded: 0, chosen: 0, damaged: 0 }],
    [["--target", "cuda-emulated", "--keep-all"], { version: 1, superseded: 0, chosen: 1, damaged: 0 }],
    [["--device", "some gpu"], { version: 1, superseded: 0, chosen: 5, damaged: 0 }],
    [["--before", "2025-01-01"], { version: 1, superseded: 1, chosen: 0, damaged: 0 }],
    [["--before", "2025-01-02"], { version: 1, superseded: 0, chosen: 6, damaged: 0 }],
    [
      ["--before", "2025-01-02", "--device", "emulated"],
      { version: 1, superseded: 1, chosen: 1, damaged: 0 },
    ],
  ])("%j", (flags, dropped) => {
    const file = storeOf(`prune-${flags.join("-").replaceAll(" ", "")}`);
    const kept = RECORDS.length - Object.values(dropped).reduce((sum, count) => sum + count);
    expect(json(mtac(["tune", "prune", ...flags, "--store", file, "--json"]))).toEqual({
      store: file,
      dryRun: false,
      kept,
      dropped,
    });
    expect(openStore(file).read().records).toHaveLength(kept);
  });
});

describe("tune merge", () => {
  test("takes over what is not there yet, once", () => {
    const into = storeOf("merge-into", RECORDS.slice(0, 2));
    const a = storeOf("merge-a", RECORDS.slice(1, 4));
    const b = storeOf("merge-b", RECORDS.slice(3));
    appendFileSync(b, "half a li");
    const result = mtac(["tune", "merge", a, b, "--store", into, "--json"]);
    expect(json(result)).toEqual({
      store: into,
      added: 5,
      present: 2,
      files: [
        { file: a, records: 3, ignored: [] },
        { file: b, records: 4, ignored: [{ line: 5, why: "unfinished: damaged: it holds no record" }] },
      ],
    });
    expect(result.stderr).toContain("1 line of");
    expect(openStore(into).read().records).toEqual(RECORDS);
    expect(mtac(["tune", "merge", a, b, into, "--store", into])).toMatchObject({
      code: 0,
      stdout: `✓ 0 records added to ${into}, 14 already there\n`,
    });
  });

  test("takes over nothing where a file is missing", () => {
    const into = path.join(folder, "merge-nothing.jsonl");
    const missing = path.join(folder, "missing.jsonl");
    expect(mtac(["tune", "merge", storeOf("merge-c"), missing, "--store", into])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`cannot read ${missing}: there is no such file`),
    });
    expect(existsSync(into)).toBe(false);
  });
});

test.each([
  [["tune"], "MTA900", "needs a spec or a subcommand"],
  [["tune", "shw"], "MTA900", "`shw` is neither a spec file"],
  [["tune", spec, "--shard", "9/8"], "MTA900", "part of several"],
  [["tune", spec, "--budget", "soon"], "MTA900", "for example 60s"],
  [["tune", spec, "--sweep", "tile_q"], "MTA900", "for example tile_q=32,64"],
  [["tune", spec, "--lengths", "64,x"], "MTA900", "whole number"],
  [["tune", spec, "--arch", "sm_80"], "MTA916", "--arch"],
  [["tune", "show", "--name", "one"], "MTA920", "needs a spec"],
  [["tune", "show", "--target", "metal"], "MTA903", "there is no target `metal`"],
  [["tune", "show", "--colour"], "MTA900", "unknown option '--colour'"],
  [["tune", "export"], "MTA900", "required option '--out <file>'"],
  [["tune", "prune", "--before", "soon"], "MTA900", "expected a date"],
  [["tune", "merge"], "MTA900", "missing required argument 'files'"],
])("%j is wrong usage", (args, code, message) => {
  const result = mtac([...args, "--json"]);
  expect(JSON.parse(result.stdout)).toMatchObject({
    error: { code, kind: "usage", message: expect.stringContaining(message) },
  });
  expect(result.code).toBe(2);
});

test("a store that cannot be written is an error with a remedy", () => {
  const under = path.join(write(folder, "a-file", ""), "tuning.jsonl");
  const result = mtac(["tune", "merge", storeOf("unwritable"), "--store", under, "--json"]);
  expect(result.code).toBe(1);
  expect(JSON.parse(result.stdout)).toMatchObject({
    error: {
      code: "MTA871",
      message: expect.stringContaining(under),
      remedy: expect.stringContaining("--store"),
    },
  });
});

test("help tells of the subcommands", () => {
  const { code, stdout } = mtac(["tune", "--help"]);
  for (const name of ["show", "export", "prune", "merge"])
    expect(stdout).toMatch(new RegExp(`^ {2}${name} `, "m"));
  expect(code).toBe(0);
  expect(mtac(["tune", "prune", "--help"]).stdout).toContain("--dry-run");
});

test.each([
  ["--sweep tile_z=1", "MTA406"],
  ["--sweep tile_q=7", "MTA407"],
])("%s is refused before a device is asked for", (flags, code) => {
  // Nothing here has a CUDA driver; on a machine that has one, this is quicker all the same.
  const { stderr } = mtac(["tune", spec, "--name", "one", "--target", "cuda", ...flags.split(" ")]);
  expect(stderr).toContain(code);
});
