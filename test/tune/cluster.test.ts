import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { partOf } from "../../compiler/tune/candidates.ts";
import { shareOf } from "../../compiler/tune/share.ts";
import { openStore } from "../../compiler/tune/store.ts";
import { mtac, temporaryFolder, write } from "../cli/harness.ts";
import { runsOf, SEED } from "../support/seed.ts";

const slurm = (id: string, count: string, min: string, step?: string) => ({
  SLURM_ARRAY_TASK_ID: id,
  SLURM_ARRAY_TASK_COUNT: count,
  SLURM_ARRAY_TASK_MIN: min,
  SLURM_ARRAY_TASK_MAX: "9",
  ...(step === undefined ? {} : { SLURM_ARRAY_TASK_STEP: step }),
});
const pod = (index: string, completions?: string) => ({
  JOB_COMPLETION_INDEX: index,
  ...(completions === undefined ? {} : { JOB_COMPLETIONS: completions }),
});
const EIGHTH = { index: 3, count: 8 };

describe("the share of a sweep", () => {
  test.each([
    ["nothing: all of it", {}, {}, null],
    ["variables of other jobs", {}, { SLURM_JOB_ID: "17", SLURM_NTASKS: "4", JOB_COMPLETIONS: " " }, null],
    ["--array=0-7", {}, slurm("2", "8", "0", "1"), EIGHTH],
    ["--array=1-8, without a step", {}, slurm("3", "8", "1"), EIGHTH],
    ["--array=10-80:10", {}, slurm("30", "8", "10", "10"), EIGHTH],
    ["one task of an array, again", {}, slurm("5", "1", "5", "1"), { index: 1, count: 1 }],
    ["a pod", {}, pod("2", "8"), EIGHTH],
    ["a pod, its number by a flag", { shards: 8 }, pod("2"), EIGHTH],
    ["a flag that agrees", { shards: 8 }, slurm("2", "8", "0", "1"), EIGHTH],
    [
      "a flag goes before variables",
      { shard: EIGHTH },
      { ...slurm("0", "4", "0", "1"), ...pod("9", "x") },
      EIGHTH,
    ],
  ])("%s", (_, flags, environment, expected) => {
    const share = shareOf(flags, environment);
    if (expected === null) expect(share).toBeNull();
    else expect(share).toMatchObject(expected);
  });

  test("says where it comes from", () => {
    expect(shareOf({}, pod("2", "8"))?.from).toBe("JOB_COMPLETION_INDEX=2, JOB_COMPLETIONS=8");
    expect(shareOf({ shard: EIGHTH }, {})?.from).toBe("`--shard`");
    expect(shareOf({}, slurm("2", "8", "0", "1"))?.from).toBe(
      "SLURM_ARRAY_TASK_ID=2, SLURM_ARRAY_TASK_COUNT=8, SLURM_ARRAY_TASK_MIN=0, SLURM_ARRAY_TASK_STEP=1",
    );
  });

  test.each([
    [
      "no count",
      {},
      { SLURM_ARRAY_TASK_ID: "2" },
      "SLURM_ARRAY_TASK_COUNT, SLURM_ARRAY_TASK_MIN are not set",
    ],
    ["no index", {}, { JOB_COMPLETIONS: "8" }, "JOB_COMPLETION_INDEX is not set"],
    ["a pod that knows its index alone", {}, pod("2"), "JOB_COMPLETIONS is not set"],
    ["a list, --array=1,3,7", {}, slurm("7", "3", "1", "1"), "equal distances"],
    ["between two numbers", {}, slurm("13", "8", "10", "10"), "equal distances"],
    ["before the first", {}, slurm("0", "8", "1", "1"), "equal distances"],
    ["no step", {}, slurm("2", "8", "0", "0"), "equal distances"],
    ["no tasks", {}, slurm("0", "0", "0", "1"), "equal distances"],
    ["no number", {}, slurm("two", "8", "0", "1"), 'SLURM_ARRAY_TASK_ID is "two"'],
    ["a negative number", {}, pod("-1", "8"), 'JOB_COMPLETION_INDEX is "-1"'],
    ["an index that is too large", {}, pod("8", "8"), "begin at 0"],
    [
      "two schedulers",
      {},
      { ...pod("2", "8"), ...slurm("2", "8", "0", "1") },
      "Slurm job array and of an Indexed Job",
    ],
    ["a flag that disagrees", { shards: 4 }, pod("2", "8"), "says 8"],
    ["two flags that disagree", { shard: EIGHTH, shards: 4 }, {}, "`--shards` says 4"],
    ["a number without an index", { shards: 4 }, {}, "no scheduler says"],
  ])("%s is refused", (_, flags, environment, message) => {
    expect(() => shareOf(flags, environment)).toThrow(
      expect.objectContaining({
        code: "MTA875",
        message: expect.stringContaining(message),
        remedy: expect.stringContaining("--shard 2/8"),
      }),
    );
  });

  test("shares together are the whole, and none is twice in it", () => {
    fc.assert(
      fc.property(fc.nat(60), fc.integer({ min: 1, max: 20 }), (size, count) => {
        const all = Array.from({ length: size }, (_, place) => place);
        const parts = Array.from({ length: count }, (_, index) => partOf(all, { index: index + 1, count }));
        expect(parts.flat().sort((a, b) => a - b)).toEqual(all);
        const sizes = parts.map(({ length }) => length);
        expect(Math.max(...sizes)).toBe(Math.ceil(size / count));
      }),
      { seed: SEED, numRuns: runsOf(200) },
    );
  });
});

// The scripts for clusters themselves, with doubles of what they call: `srun` runs what it is given, `npx mtac` is the command that was built.

const EXAMPLES = fileURLToPath(new URL("../../examples/cluster/", import.meta.url));
const CLI = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const folder = temporaryFolder();
const sweep = ["--target", "cpu", "--candidates", "5", "--lengths", "16"];
const manifest = readFileSync(path.join(EXAMPLES, "tune-job.yaml"), "utf8");

function program(name: string, text: string): void {
  mkdirSync(path.join(folder, "bin"), { recursive: true });
  chmodSync(write(folder, path.join("bin", name), `#!/bin/sh\n${text}\n`), 0o755);
}

function runScript(
  where: string,
  command: readonly string[],
  variables: Readonly<Record<string, string>>,
): string {
  const cwd = path.join(folder, where);
  mkdirSync(cwd, { recursive: true });
  write(cwd, "spec.mta", "attention spec { heads 2 head_dim 8 scores { conv 2x3 } }\n");
  const { PATH = "", HOME = "" } = process.env;
  const env = {
    PATH: `${path.join(folder, "bin")}:${PATH}`,
    HOME,
    XDG_CACHE_HOME: path.join(folder, "cache"),
    ...variables,
  };
  const [file = "", ...args] = command;
  const { status, stderr } = spawnSync(file, args, { cwd, env, encoding: "utf8" });
  expect({ status, stderr }).toMatchObject({ status: 0 });
  return stderr;
}

/** Names of the candidates in stores, merged. */
function candidatesIn(where: string, count: number): readonly string[] {
  const stores = Array.from({ length: count }, (_, index) =>
    path.join(folder, where, `tuning/${index}.jsonl`),
  );
  const merged = path.join(folder, where, "tuned.jsonl");
  expect(mtac(["tune", "merge", ...stores, "--store", merged]).code).toBe(0);
  const own = stores.map(
    (store) =>
      new Set(
        openStore(store)
          .read()
          .records.map(({ candidate }) => candidate.source),
      ),
  );
  const all = own.flatMap((each) => [...each]).sort();
  expect(new Set(all).size, "no candidate is measured twice").toBe(all.length);
  const records = openStore(merged).read().records;
  expect(new Set(records.map(({ candidate }) => candidate.source))).toEqual(new Set(all));
  const firsts = records.filter((record) => record.kind === "measured" && record.first === true);
  expect(new Set(firsts.map(({ candidate }) => candidate.source)).size, "the planner has one choice").toBe(1);
  return all;
}

describe("a sweep on a cluster", () => {
  program("srun", 'exec "$@"');
  program("npx", `shift\nexec "${process.execPath}" "${CLI}" "$@"`);

  test("shared out by Slurm or by Kubernetes, and merged, has the candidates of the whole", () => {
    const whole = path.join(folder, "whole.jsonl");
    const spec = write(folder, "spec.mta", "attention spec { heads 2 head_dim 8 scores { conv 2x3 } }\n");
    expect(mtac(["tune", spec, ...sweep, "--store", whole]).code).toBe(0);
    const expected = [
      ...new Set(
        openStore(whole)
          .read()
          .records.map(({ candidate }) => candidate.source),
      ),
    ].sort();
    expect(expected).toHaveLength(5);

    const script = path.join(EXAMPLES, "tune.sbatch");
    for (const id of ["0", "1"])
      expect(runScript("slurm", ["bash", script, "spec.mta", ...sweep], slurm(id, "2", "0", "1"))).toContain(
        `share ${Number(id) + 1} of 2 of the candidates (SLURM_ARRAY_TASK_ID=${id}`,
      );
    expect(candidatesIn("slurm", 2)).toEqual(expected);

    const [, line = ""] = /^ +- (exec npx mtac tune .*)$/m.exec(manifest) ?? [];
    const command = line.replace("--target cuda --grad", sweep.join(" "));
    expect(command).toContain("--target cpu");
    for (const index of ["0", "1"]) runScript("pods", ["sh", "-c", command], pod(index, "2"));
    expect(candidatesIn("pods", 2)).toEqual(expected);
  }, 120_000);

  test("a share without candidates is no failure", () => {
    const spec = write(folder, "spec.mta", "attention spec { heads 2 head_dim 8 scores { conv 2x3 } }\n");
    const store = path.join(folder, "more-shares.jsonl");
    const { code, stdout } = mtac(["tune", spec, ...sweep, "--store", store, "--shard", "9/9"]);
    expect(stdout).toContain("none in this share");
    expect(code).toBe(0);
  });

  test("half a scheduler is refused before anything is measured", () => {
    const { code, stderr } = mtac(["tune", "spec.mta", ...sweep], { cwd: folder, env: pod("1") });
    expect(stderr).toContain("MTA875");
    expect(code).toBe(2);
  });
});

test("the manifest counts its pods twice, alike; the script is clean", () => {
  const [, completions] = /^ +completions: (\d+)$/m.exec(manifest) ?? [];
  const [, repeated] = /- name: JOB_COMPLETIONS\n +value: "(\d+)"/.exec(manifest) ?? [];
  expect(repeated).toBe(completions);
  const script = path.join(EXAMPLES, "tune.sbatch");
  execFileSync("bash", ["-n", script]);
  const { error, status, stdout } = spawnSync("shellcheck", [script], { encoding: "utf8" });
  if (error === undefined) expect({ status, stdout }).toMatchObject({ status: 0 });
  else console.warn("NOT RUN: shellcheck is not installed, so tune.sbatch was only parsed");
});
