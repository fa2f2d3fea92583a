import { writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { compareTensors } from "../../compiler/execution/comparison.ts";
import { randomCall } from "../../compiler/execution/random-call.ts";
import type { AttentionInputs, Float64Tensor, Pipeline } from "../../runtime/contract/index.ts";
import { referenceForward } from "../../runtime/reference/index.ts";
import { withFolder } from "../support/folder.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { roundInputs } from "../support/rounded.ts";
import { callOf, caseNames, loadCase, OWN_VECTORS } from "../support/vectors.ts";
import {
  type Compilers,
  compute,
  findCompilers,
  programOf,
  run,
  STRICT,
  writeEmitted,
} from "./c-programs.ts";

// What `mtac compile --target cpu` writes, compiled and linked to a program, against the reference.

const compilers = findCompilers();

/** What people compile with. The vectors go without, as optimizers take their time. */
const FAST = ["-O3", "-march=native", "-ffp-contract=fast"];

interface Call {
  readonly inputs: AttentionInputs<Float64Tensor>;
  readonly parameters: ReadonlyMap<string, Float64Tensor>;
}

/** Compiles a spec and a program in both languages, runs it with one thread and with several, and compares. */
async function check(
  source: string,
  pipeline: Pipeline,
  { inputs, parameters }: Call,
  expected: ReadonlyMap<string, Float64Tensor>,
  { c, cpp }: Compilers,
  flags: readonly string[],
): Promise<void> {
  await withFolder(async (folder) => {
    const options = { cwd: folder };
    writeEmitted(folder, source);
    writeFileSync(path.join(folder, "main.c"), programOf(pipeline));
    writeFileSync(path.join(folder, "main.cpp"), programOf(pipeline));
    const library = `${pipeline.name}.c`;
    await run(c, ["-std=c11", ...STRICT, ...flags, "-c", library, "-o", "library.o"], options);
    const results = [];
    for (const [compiler, standard, main] of [
      [c, "-std=c11", "main.c"],
      [cpp, "-std=c++17", "main.cpp"],
    ] as const) {
      const link = ["library.o", "-o", "program", "-pthread", "-lm"];
      await run(compiler, [standard, ...STRICT, main, ...link], options);
      for (const threads of main === "main.c" ? [1, 3] : [2])
        results.push(await compute(folder, pipeline, inputs, parameters, threads));
    }
    const [first, ...others] = results;
    if (first === undefined) throw new Error("nothing was computed");
    for (const other of others) expect(other.bytes.equals(first.bytes)).toBe(true);
    const actual = new Map([["o", first.o]]);
    if (first.lse !== null) actual.set("lse", first.lse);
    const errors = compareTensors(actual, expected, pipeline.storage);
    expect(errors.filter(({ ok }) => !ok)).toEqual([]);
  });
}

function expectedOf(pipeline: Pipeline, { inputs, parameters }: Call): Map<string, Float64Tensor> {
  const { o, lse } = referenceForward(pipeline, parameters, inputs);
  return new Map([["o", o], ...(lse === null ? [] : ([["lse", lse]] as const))]);
}

/** Specs of other kinds than the vectors': of another storage, without stages, with everything at once. */
const SPECS = {
  plain: "attention plain { heads 2 head_dim 20 mask causal dtype f32 }",
  half: `attention half { heads 4 kv_heads 2 head_dim 24 dtype f16 mask causal window 40 documents
    scores { conv 3x5; mix 2; softcap 20 } weights { mix 4 } output { norm depth_scale; gate channel } }`,
  wide: "attention wide { heads 2 head_dim 16 value_dim 33 dtype bf16 mask none scores { relu; conv 9x3 pad_query both } }",
  sparse: `attention sparse { heads 4 head_dim 16 dtype f32 mask causal lengths bias normalize sparsemax
    weights { conv 2x3 across 2 } output { gate scalar } }`,
};

// Where there is no compiler, something must be left to run.
test("programs are made by gcc, clang, or neither", () => {
  expect(compilers.length).toBeLessThanOrEqual(2);
});

describe.each(compilers)("a program of $c and $cpp agrees with the reference", (make) => {
  // Half of the cases each.
  const turn = make.c === "gcc" ? 0 : 1;
  const mine = <T>(all: readonly T[]): T[] =>
    all.filter((_, index) => compilers.length === 1 || index % 2 === turn);

  test.each(mine(caseNames(OWN_VECTORS)))("official vector %s", async (name) => {
    const vector = loadCase(OWN_VECTORS, name);
    const pipeline = pipelineOf(vector.spec, vector.attention);
    const call = callOf(pipeline, vector);
    // The cases from Liger-Kernel have no lse.
    const expected = new Map(
      [...expectedOf(pipeline, call)].map(([key, value]) => [key, vector.expected.get(key) ?? value]),
    );
    await check(vector.spec, pipeline, call, expected, make, ["-O0"]);
  });

  test.each(mine(Object.entries(SPECS)))("spec %s", async (name, source) => {
    const pipeline = pipelineOf(source, name);
    const shape = { B: 2, Lq: 37, Lk: 75, R: 3 };
    const layer = pipeline.output.some((stage) => stage.kind === "norm" && stage.depthScale) ? 2 : undefined;
    const { inputs, parameters } = randomCall(pipeline, shape, { seed: 1, layer, grad: false });
    const call = { inputs: roundInputs(inputs, pipeline.storage), parameters };
    await check(source, pipeline, call, expectedOf(pipeline, call), make, FAST);
  });
});
