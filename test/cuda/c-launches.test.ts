import { writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { emitArtifact, emitHostFiles } from "../../compiler/emit/index.ts";
import { callValues } from "../../runtime/contract/call.ts";
import { type CallSize, expandPlan } from "../../runtime/contract/expand.ts";
import { launchFieldType, type Plan, type Schedule } from "../../runtime/contract/index.ts";
import { contiguousStrides, type Layout } from "../../runtime/contract/layout.ts";
import { withFolder } from "../support/folder.ts";
import { legalSchedules } from "../support/gpu.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { findNvcc } from "./harness.ts";
import { run, toolkit } from "./nvcc.ts";
import { RECORDED_PROGRAM, RECORDER } from "./recorder.ts";

const nvcc = await findNvcc();

// The C++ code that an attention's plan becomes, against the plan itself as launchers execute it.

const SPECS = {
  plain: "attention probe { heads 2 head_dim 16 dtype f32 mask causal scores { conv 2x3 } }",
  weights:
    "attention probe { heads 4 kv_heads 2 head_dim 16 dtype f32 mask causal window 700 scores { conv 3x5; mix 2 } weights { conv 2x3 } output { norm } }",
  noncausal:
    "attention probe { heads 2 head_dim 16 dtype f16 mask none scores { conv 3x3 pad_query both } weights { conv 3x3 pad_query both } output { norm } }",
  // So few kernel rows and so long a sequence that keys are convolved beforehand.
  folded: "attention probe { heads 8 head_dim 64 dtype f16 mask causal scores { conv 1x11 } }",
} as const;

/** The planner's nominal length, where it is not the usual one. */
const NOMINAL: Readonly<Record<string, number>> = { folded: 16384 };

const SIZES: readonly CallSize[] = [
  { B: 1, Lq: 1, Lk: 1, R: 0, positions: false },
  { B: 3, Lq: 70, Lk: 70, R: 0, positions: false },
  { B: 2, Lq: 5, Lk: 900, R: 4, positions: false },
  { B: 2, Lq: 5, Lk: 900, R: 4, positions: true },
  { B: 1, Lq: 3000, Lk: 3000, R: 0, positions: false },
  { B: 70, Lq: 600, Lk: 640, R: 3, positions: false },
];

interface Launched {
  readonly kernel: string;
  readonly grid: readonly number[];
  readonly threads: number;
  readonly shared: number;
  readonly words: readonly number[];
}

/** What a launcher would do: the launch block's words by field; null where a stride means nothing. */
function expectedLaunches(plan: Plan, size: CallSize): object[] {
  const { heads, kvHeads, headDim, valueDim, storage } = plan.pipeline;
  const layout = (shape: readonly number[]): Layout => ({
    shape,
    strides: contiguousStrides(shape),
    storage,
  });
  const { B, Lq, Lk, R } = size;
  const layouts = new Map([
    ["q", layout([B, heads, Lq, headDim])],
    ["k", layout([B, kvHeads, Lk, headDim])],
    ["v", layout([B, kvHeads, Lk, valueDim])],
    ["o", layout([B, heads, Lq, valueDim])],
  ]);
  if (R > 0) layouts.set("q_history", layout([B, heads, R, headDim]));
  const call = callValues(plan, size, {}, (name) => layouts.get(name));
  return expandPlan(plan, size).dispatches.map(({ kernel, grid, launch }) => {
    const values: Readonly<Record<string, number>> = { ...call, ...launch };
    return {
      kernel: kernel.entryPoint,
      grid,
      threads: kernel.workgroupSize,
      shared: kernel.workgroupBytes,
      // The C API's launches share a block: fields that a kernel does not read keep what another one was given.
      fields: Object.fromEntries(
        kernel.launch.flatMap((name) => (values[name] === undefined ? [] : [[name, values[name]]])),
      ),
    };
  });
}

function recordedLaunches(stdout: string, { kernels }: Plan, expected: readonly object[]): object[] {
  const lines = stdout.split("\n").filter((line) => line !== "");
  return lines.map((line, index) => {
    const { words, kernel, grid, threads, shared }: Launched = JSON.parse(line);
    const view = new DataView(new ArrayBuffer(4));
    const wanted: unknown = Object.entries(expected[index] ?? {}).find(([name]) => name === "fields")?.[1];
    const fields = (kernels[0]?.launch ?? []).flatMap((name, word) => {
      const expectedValue = (wanted as Record<string, number> | undefined)?.[name];
      if (expectedValue === undefined) return [];
      const type = launchFieldType(name);
      view.setUint32(0, words[word] ?? 0);
      const value =
        type === "f32" ? view.getFloat32(0) : type === "i32" ? view.getInt32(0) : view.getUint32(0);
      // Launchers give axes of one element no stride; the C API does not care.
      const free = name.includes("_stride_") && expectedValue === 0;
      return [[name, free ? 0 : value]];
    });
    return { kernel, grid, threads, shared, fields: Object.fromEntries(fields) };
  });
}

/** Writes an attention's files and compiles them, and beside them what records launches. */
async function compileKernels(folder: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(files)) writeFileSync(path.join(folder, name), text);
  writeFileSync(path.join(folder, "recorder.cpp"), RECORDER);
  writeFileSync(path.join(folder, "main.c"), RECORDED_PROGRAM);
  const sources = Object.keys(files).filter((name) => name.endsWith(".cu"));
  await run("nvcc", ["-std=c++17", "-arch=sm_80", "-lib", ...sources, "-o", "probe.a"], { cwd: folder });
}

/** Launches calls of all sizes, and compares them with what a plan says. @param definitions What the program is compiled with. */
async function compare(folder: string, plan: Plan, definitions: readonly string[] = []): Promise<void> {
  const options = { cwd: folder, maxBuffer: 2 ** 26 };
  const include = ["-isystem", path.join(await toolkit(), "include")];
  const words = `-DLAUNCH_WORDS=${plan.kernels[0]?.launch.length ?? 0}`;
  await run("gcc", ["-std=c11", ...include, ...definitions, "-c", "main.c", "-o", "main.o"], options);
  await run(
    "g++",
    ["-std=c++17", ...include, words, "main.o", "recorder.cpp", "probe.a", "-o", "main"],
    options,
  );
  for (const size of SIZES) {
    const { B, Lq, Lk, R, positions } = size;
    const sizes = [B, Lq, Lk, R, positions ? 1 : 0].map(String);
    const { stdout, stderr } = await run(path.join(folder, "main"), sizes, options);
    const expected = expectedLaunches(plan, size);
    expect(recordedLaunches(stdout, plan, expected), sizes.join(" ")).toEqual(expected);
    const workspace = expandPlan(plan, size).workspace.reduce((sum, { bytes }) => sum + bytes, 0);
    const lse = B * plan.pipeline.heads * Lq * 4;
    expect(Number(stderr)).toBeGreaterThanOrEqual(workspace + lse);
    // Each piece begins at a multiple of 256 bytes.
    expect(Number(stderr)).toBeLessThan(workspace + lse + 256 * (plan.workspace.length + 1));
  }
}

describe.skipIf(nvcc === null)("the C API launches what the plan says", () => {
  const cases = Object.entries(SPECS).flatMap(([name, source]) =>
    legalSchedules(pipelineOf(source, "probe")).map((schedule) => [name, schedule, source] as const),
  );
  test.each(cases)(
    "%s, %s",
    async (specName, schedule: Schedule, source) => {
      const pipeline = pipelineOf(source, "probe");
      const length = NOMINAL[specName] ?? 1024;
      const artifact = emitArtifact(pipeline, {
        target: "cuda",
        schedule,
        shape: { B: 1, Lq: length, Lk: length, R: 0 },
      });
      const [plan] = artifact.plans;
      if (plan === undefined) throw new Error("no plan");
      expect(plan.knobs["lowering"] === "folded").toBe(specName === "folded" && schedule === "single_pass");
      const files = emitHostFiles(pipeline, artifact, ["sm_80"], { version: "0", spec: "probe.mta" });
      await withFolder(async (folder) => {
        await compileKernels(folder, files);
        await compare(folder, plan);
      });
    },
    120_000,
  );

  test("calls that drop weights and those that do not have plans of their own", async () => {
    const pipeline = pipelineOf(
      "attention probe { heads 2 head_dim 16 dtype f16 mask causal scores { conv 2x3 } weights { dropout 0.1 mix 2 } }",
      "probe",
    );
    const artifact = emitArtifact(pipeline, { target: "cuda" });
    const [plan] = artifact.plans;
    const [dropping] = artifact.dropout?.plans ?? [];
    if (plan === undefined || dropping === undefined) throw new Error("no plan");
    expect(dropping.kernels.length).not.toBe(plan.kernels.length);
    const files = emitHostFiles(pipeline, artifact, ["sm_80"], { version: "0", spec: "probe.mta" });
    await withFolder(async (folder) => {
      await compileKernels(folder, files);
      await compare(folder, plan);
      await compare(folder, dropping, ["-DDROPS"]);
    });
  }, 240_000);
});
