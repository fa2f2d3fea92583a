import { createHash } from "node:crypto";
import { chmodSync, cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  candidateTable,
  deviceOf,
  hasTroubles,
  kitReports,
  ratioTable,
  stepTable,
  troublesOf,
} from "../../compiler/bench/kit/report.ts";
import { type KitResults, readKitResults } from "../../compiler/bench/kit/results.ts";
import { loadGradients } from "../../compiler/emit/index.ts";
import { driverDouble, temporaryFolder } from "../cuda-runtime/doubles.ts";
import { makeKit } from "../gpu-kit/make.ts";
import { python } from "./python.ts";

// A small kit for a GPU, made and run: on the processor; with a double of the GPU, so that all that only a GPU gets to do is done once; and
// with steps that crash and hang.

const SPEC =
  "attention small { heads 2 head_dim 16 mask causal documents scores { conv 2x3 } output { norm } }";
const TIMED = {
  package: "small",
  attention: "small",
  types: ["bf16"],
  lengths: [32],
  processorLengths: [24],
};

const scratch = temporaryFolder();
const kit = join(scratch, "kit");
const double = driverDouble();
const said: string[] = [];
let bytes = 0;

beforeAll(async () => {
  await loadGradients();
  bytes = makeKit(
    kit,
    {
      specs: [{ name: "small", text: SPEC }],
      vectors: [someVectors()],
      main: [TIMED],
      others: [],
      candidates: { package: "small", attention: "small", most: 2 },
      cubins: null,
    },
    (line) => said.push(line),
  );
  change("kit/random_calls.py", (text) => text.replace("ROUNDS = 40", "ROUNDS = 1"));
}, 120_000);

afterAll(() => double.reset());

/** A folder of three vectors: all 15 take a while. */
function someVectors(): string {
  const all = fileURLToPath(new URL("../vectors", import.meta.url));
  const folder = join(scratch, "vectors");
  const index: readonly { case: string }[] = JSON.parse(readFileSync(join(all, "index.json"), "utf8"));
  const some = index.filter(({ case: name }) => /^(17|33|45)_/.test(name));
  for (const { case: name } of some) cpSync(join(all, name), join(folder, name), { recursive: true });
  writeFileSync(join(folder, "index.json"), JSON.stringify(some));
  return folder;
}

/** As if all kernels had been compiled beforehand: the double loads none. */
async function writeImages(): Promise<void> {
  await python(
    ["-c", "from pathlib import Path; from kit.orchestrate import unpack; unpack(Path.cwd())"],
    kit,
  );
  for (const name of ["small", "vectors", "candidates"]) {
    const place = join(kit, "packages", name, name, "_cuda");
    for (const file of readdirSync(place).filter((each) => each.endsWith(".cu"))) {
      const digest = createHash("sha256")
        .update(readFileSync(join(place, file)))
        .digest("hex")
        .slice(0, 8);
      writeFileSync(join(place, `${file.slice(0, -3)}-${digest}.sm_80.cubin`), "image");
    }
  }
}

function change(file: string, by: (text: string) => string): void {
  const path = join(kit, file);
  writeFileSync(path, by(readFileSync(path, "utf8")));
}

interface Run {
  readonly results: KitResults;
  readonly said: string;
  /** The exit status. */
  readonly status: number;
}

async function run(args: readonly string[], variables: Readonly<Record<string, string>> = {}): Promise<Run> {
  const status = `import subprocess, sys; sys.exit(print(subprocess.run([sys.executable, *sys.argv[1:]]).returncode))`;
  const lines = await python(
    ["-c", status, "run.py", "--seed", "5", "--minutes", "6", ...args],
    kit,
    false,
    variables,
  );
  const found = readKitResults(readFileSync(join(kit, "results.json"), "utf8"), "results.json");
  return { results: found, said: lines, status: Number(lines.trim().split("\n").at(-1)) };
}

function statesOf({ steps }: KitResults): Readonly<Record<string, string>> {
  return Object.fromEntries(steps.map(({ name, status }) => [name, status]));
}

test("a kit is a folder of its runner, packages and vectors", () => {
  expect(said).toEqual(["3 packages, 3 vectors, 4 other plans"]);
  expect(bytes).toBeLessThan(6 * 2 ** 20);
});

test("without a GPU its parts are missing, and the processor's are done", async () => {
  const steps = "environment,kernels,vectors_forward,vectors_backward,random,timing";
  const { results, said: lines, status } = await run(["--only", steps]);
  expect(troublesOf(results)).toEqual([]);
  expect(statesOf(results)).toEqual({
    environment: "passed",
    kernels: "missing",
    vectors_forward: "passed",
    vectors_backward: "passed",
    random: "passed",
    timing: "passed",
  });
  expect(status).toBe(3);
  expect(lines).toContain("a CUDA device");
  expect(results.finished).toBe(true);
  const vectors = results.steps.find(({ name }) => name === "vectors_backward");
  expect(vectors?.cases).toHaveLength(9);

  const [report, ...more] = kitReports(results);
  expect(more).toEqual([]);
  expect(report?.target).toBe("cpu");
  expect(report?.lengths.map(({ rows }) => rows.map(({ subject }) => subject))).toEqual([
    ["mtac", "sdpa flash", "plain", "mtac backward", "sdpa flash backward", "plain backward"],
  ]);
  expect(report?.missing).toMatchObject([{ name: "flex_attention" }]);
  if (report === undefined) throw new Error("there is no report");
  expect(ratioTable(report).rows).toHaveLength(4);
  expect(stepTable(results).rows).toHaveLength(6);
});

test("what only a GPU does is done on a double of it", async () => {
  const folder = temporaryFolder();
  const tool = join(folder, "compute-sanitizer");
  // Runs what it should watch.
  writeFileSync(
    tool,
    '#!/bin/sh\nwhile [ "$1" != "-m" ]; do program=$1; shift; done\nexec "$program" "$@"\n',
  );
  chmodSync(tool, 0o755);
  await writeImages();
  const steps = "environment,kernels,random,timing,sanitizer,schedules,graphs";
  const { results, status } = await run(["--only", steps], {
    MTAC_LIBCUDA: double.path,
    PYTHONPATH: fileURLToPath(new URL("gpu-double", import.meta.url)),
    PATH: `${folder}:${process.env["PATH"]}`,
  });
  expect(troublesOf(results)).toEqual([expect.stringContaining("the replay gives another")]);
  const { graphs, ...others } = statesOf(results);
  expect(new Set(Object.values(others))).toEqual(new Set(["passed"]));
  expect(graphs).toBe("wrong");
  expect(status).toBe(1);
  expect(hasTroubles(results)).toBe(true);
  const sanitized = results.steps.find(({ name }) => name === "sanitizer");
  expect(sanitized?.cases).toHaveLength(4);
  expect(deviceOf(results).onGpu).toBe(true);
  const [report] = kitReports(results);
  expect(report?.lengths[0]?.rows[0]).toMatchObject({
    subject: "mtac",
    peakBytes: 4000,
    time: { clock: "device" },
  });
  expect(candidateTable(results).rows).toHaveLength(4);
});

describe("a step that goes wrong", () => {
  const MODULE = `import os, time
from .context import Case

def cases(context, step):
    yield Case("first", lambda: {"status": "passed"})
    yield Case("crash", lambda: os._exit(9))
    yield Case("error", lambda: 1 / 0)
    yield Case("hang", lambda: time.sleep(100))
    yield Case("last", lambda: {"status": "passed"})
`;

  test("is told case by case, and the next step goes on", async () => {
    const before = readFileSync(join(kit, "kit/determinism.py"), "utf8");
    change("kit/determinism.py", () => MODULE);
    change("kit/steps.py", (text) => text.replace("case_limit: float = 60", "case_limit: float = 3"));
    const { results, status } = await run(["--only", "determinism,graphs"]);
    change("kit/determinism.py", () => before);
    expect(results.steps[0]?.cases.map(({ name, status: state }) => [name, state])).toEqual([
      ["first", "passed"],
      ["crash", "crashed"],
      ["error", "failed"],
      ["hang", "hung"],
      ["last", "passed"],
    ]);
    expect(statesOf(results)).toEqual({ determinism: "hung", graphs: "missing" });
    expect(status).toBe(1);
  });
});

test("the runner passes ruff and mypy", async () => {
  const runner = fileURLToPath(new URL("../../compiler/bench/kit/runner", import.meta.url));
  const rules = ["--isolated", "--target-version", "py310", "--line-length", "120"];
  await python(
    ["-m", "ruff", "check", "--no-cache", ...rules, "--select", "E,F,I,UP,B,SIM,RUF", "."],
    runner,
  );
  await python(["-m", "ruff", "format", "--no-cache", ...rules, "--check", "."], runner);
  expect(
    await python(["-m", "mypy", "--strict", "--cache-dir", join(scratch, "mypy"), "."], runner),
  ).toContain("Success");
});
