import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { compareTensors, TOLERANCES } from "../../compiler/execution/comparison.ts";
import { randomCall } from "../../compiler/execution/random-call.ts";
import type { Float64Tensor, Pipeline } from "../../runtime/contract/index.ts";
import { referenceForward, referenceGradients } from "../../runtime/reference/index.ts";
import { withFolder } from "../support/folder.ts";
import { drawGradient, type GradientTrial, named, problem } from "../support/gradients.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { roundInputs } from "../support/rounded.ts";
import { callOf, loadCase, OWN_VECTORS } from "../support/vectors.ts";
import {
  backwardProgramOf,
  type Compilers,
  computeGradients,
  findCompilers,
  GRADIENTS,
  type GradientName,
  run,
  STRICT,
  writeEmitted,
} from "./c-programs.ts";

// Gradients by what `mtac compile --target cpu --grad` writes, compiled and linked to a program, against the reference.

const compilers = findCompilers();

/** What people compile with: one spec is. The others go without, as optimizers take their time. */
const FAST = ["-O3", "-march=native", "-ffp-contract=fast"];

/** They are f32 whatever the storage. */
const BOUNDS = { bound: TOLERANCES.f32.gradients, floor: 1 };

/** Compiles a spec's gradients and a program that computes them, in C or C++. */
async function build(
  folder: string,
  source: string,
  pipeline: Pipeline,
  { c, cpp }: Compilers,
  language: "c" | "cpp",
): Promise<void> {
  const options = { cwd: folder };
  const { name } = pipeline;
  writeEmitted(folder, source, true);
  writeFileSync(path.join(folder, `main.${language}`), backwardProgramOf(pipeline));
  const [compiler, standard] = language === "c" ? [c, "-std=c11"] : [cpp, "-std=c++17"];
  const objects: string[] = [];
  for (const each of [name, `${name}_backward`]) {
    // The first has the texts of errors, and a forward pass that is short.
    const flags = each !== name && name === "mixed" ? FAST : ["-O0"];
    await run(c, ["-std=c11", ...STRICT, ...flags, "-c", `${each}.c`, "-o", `${each}.o`], options);
    objects.push(`${each}.o`);
  }
  const link = [...objects, "-o", "backward", "-pthread", "-lm"];
  await run(compiler, [standard, ...STRICT, `main.${language}`, ...link], options);
}

/** The floats of a program's result, those of the parameters by name. */
function read(pipeline: Pipeline, bytes: ReadonlyMap<GradientName, Buffer>): Map<string, Float32Array> {
  const found = new Map<string, Float32Array>([...bytes].map(([name, each]) => [name, floatsOf(each)]));
  let at = 0;
  for (const { name, shape } of pipeline.parameters) {
    const size = shape.reduce((product, each) => product * each, 1);
    found.set(`d_${name}`, found.get("d_parameters")?.slice(at, at + size) ?? new Float32Array());
    at += size;
  }
  return found;
}

function floatsOf(bytes: Buffer): Float32Array {
  return new Float32Array(new Uint8Array(bytes).buffer);
}

function wantedOf({ pipeline, inputs }: GradientTrial): readonly GradientName[] {
  return GRADIENTS.filter(
    (name) =>
      (name !== "d_parameters" || pipeline.parameters.length > 0) &&
      (name !== "d_bias" || inputs.bias !== undefined) &&
      (name !== "d_q_history" || inputs.qHistory !== undefined),
  );
}

/** One thread and three give the same bits, all at once and one by one, and these agree with the reference. */
async function check(folder: string, trial: GradientTrial): Promise<void> {
  const { pipeline, parameters, inputs, dO } = trial;
  const wanted = wantedOf(trial);
  const first = await computeGradients(folder, trial, { threads: 1, wanted, strides: null });
  const expected = named(referenceGradients(pipeline, parameters, inputs, dO));
  expect(problem(read(pipeline, first), expected, BOUNDS)).toBeNull();
  const ways = [wanted, ...wanted.map((each) => [each])];
  for (const some of ways) {
    const again = await computeGradients(folder, trial, { threads: 3, wanted: some, strides: null });
    for (const name of some)
      expect(again.get(name)?.equals(first.get(name) ?? Buffer.alloc(0)), name).toBe(true);
  }
}

/**
 * A forward pass keeps what the stages of the output are given: o of the spec without them. Gradients that read it agree with the
 * reference, in one thread and in three by the same bits.
 */
async function checkValues(folder: string, trial: GradientTrial): Promise<void> {
  const { pipeline, parameters, inputs, dO } = trial;
  const wanted = wantedOf(trial);
  const file = path.join(folder, "values.bin");
  const way = { wanted, strides: null };
  const first = await computeGradients(folder, trial, { ...way, threads: 1, values: "kept" });
  const expected = named(referenceGradients(pipeline, parameters, inputs, dO));
  expect(problem(read(pipeline, first), expected, BOUNDS)).toBeNull();
  const values = readFileSync(file);
  const { o } = referenceForward({ ...pipeline, output: [] }, parameters, inputs);
  const kept = { shape: o.shape, data: Float64Array.from(floatsOf(values)) };
  // They are f32 whatever the storage.
  const errors = compareTensors(new Map([["o", kept]]), new Map([["o", o]]), "f32");
  expect(errors.filter(({ ok }) => !ok)).toEqual([]);

  const again = await computeGradients(folder, trial, { ...way, threads: 3, values: "kept" });
  expect(readFileSync(file).equals(values)).toBe(true);
  for (const [name, bytes] of first) expect(again.get(name)?.equals(bytes), name).toBe(true);

  // Nobody computes what is given: NaN shows.
  writeFileSync(file, Buffer.alloc(values.length, 255));
  const wrong = await computeGradients(folder, trial, { ...way, threads: 1, values: "read" });
  expect(read(pipeline, wrong).get("d_v")?.some(Number.isNaN)).toBe(true);
}

/** d_o in the shape of o, from what lies in memory with these strides. */
function spread(shape: readonly number[], strides: readonly number[], data: Float64Array): Float64Tensor {
  const [B = 0, H = 0, Lq = 0, Dv = 0] = shape;
  const [b = 0, h = 0, l = 0] = strides;
  const all = Float64Array.from({ length: B * H * Lq * Dv }, (_, index) => {
    const row = Math.floor(index / Dv);
    const head = Math.floor(row / Lq);
    return data[Math.floor(head / H) * b + (head % H) * h + (row % Lq) * l + (index % Dv)] ?? Number.NaN;
  });
  return { shape, data: all };
}

/** Specs that differ in what the sources hold. */
const SPECS = {
  plain: "attention plain { heads 2 head_dim 20 mask causal dtype f32 }",
  half: `attention half { heads 4 kv_heads 2 head_dim 24 dtype f16 mask causal window 40 documents
    scores { conv 3x5; mix 2; softcap 20 } weights { mix 4 } output { norm depth_scale; gate channel } }`,
  wide: "attention wide { heads 2 head_dim 16 value_dim 33 dtype bf16 mask none scores { relu; conv 9x3 pad_query both } }",
  mixed: "attention mixed { heads 4 head_dim 16 dtype f32 mask causal bias weights { mix 4 } }",
  capped:
    "attention capped { heads 2 head_dim 16 dtype f32 mask causal lengths scores { softcap 20 } output { norm } }",
  sparse: `attention sparse { heads 4 head_dim 16 dtype f32 mask causal lengths normalize sparsemax
    weights { conv 2x3 across 2 } output { gate scalar } }`,
};

function trialOf(source: string, name: string): GradientTrial {
  const pipeline = pipelineOf(source, name);
  const shape = { B: 2, Lq: 37, Lk: 75, R: 3 };
  const layer = pipeline.output.some((stage) => stage.kind === "norm" && stage.depthScale) ? 2 : undefined;
  const drawn = randomCall(pipeline, shape, { seed: 1, layer, grad: false });
  const inputs = roundInputs(drawn.inputs, pipeline.storage);
  return { pipeline, parameters: drawn.parameters, inputs, dO: drawGradient(pipeline, inputs, 2, 1) };
}

// Where there is no compiler, something must be left to run.
test("programs are made by gcc, clang, or neither", () => {
  expect(compilers.length).toBeLessThanOrEqual(2);
});

describe.each(compilers)("gradients by a program of $c and $cpp", (make) => {
  // Half of the specs each, in both languages.
  const turn = make.c === "gcc" ? 0 : 1;
  const mine = Object.entries(SPECS).filter((_, index) => compilers.length === 1 || index % 2 === turn);

  test.each(mine)("spec %s", async (name, source) => {
    const trial = trialOf(source, name);
    await withFolder(async (folder) => {
      await build(folder, source, trial.pipeline, make, name === "half" || name === "mixed" ? "cpp" : "c");
      await check(folder, trial);
      if (trial.pipeline.output.length > 0) await checkValues(folder, trial);
    });
  });

  test("d_o with strides, of 0, too", async () => {
    const trial = trialOf(SPECS.plain, "plain");
    const { pipeline, parameters, inputs } = trial;
    const shape = [2, pipeline.heads, 37, pipeline.valueDim];
    await withFolder(async (folder) => {
      await build(folder, SPECS.plain, pipeline, make, "c");
      for (const strides of [
        [37 * 50, 25, 50],
        [0, 20, 0],
        [0, 0, 20],
        [0, 0, 0],
      ]) {
        const data = Float64Array.from({ length: 2 * 37 * 50 }, (_, index) =>
          Math.fround(Math.sin(index ** 2)),
        );
        const dO = { shape: [data.length], data };
        const wanted = wantedOf(trial);
        const found = await computeGradients(folder, { ...trial, dO }, { threads: 2, wanted, strides });
        const expected = named(
          referenceGradients(pipeline, parameters, inputs, spread(shape, strides, data)),
        );
        const wrong = problem(read(pipeline, found), expected, BOUNDS);
        expect(wrong, strides.join()).toBeNull();
      }
    });
  });

  test("an official vector", async () => {
    const vector = loadCase(OWN_VECTORS, "11_full_rescale_layer0");
    const pipeline = pipelineOf(vector.spec, vector.attention);
    const { inputs, parameters, dO } = callOf(pipeline, vector);
    await withFolder(async (folder) => {
      await build(folder, vector.spec, pipeline, make, "c");
      const trial = { pipeline, inputs, parameters, dO };
      const wanted = wantedOf(trial);
      const bytes = await computeGradients(folder, trial, { threads: 2, wanted, strides: null });
      const expected = new Map(
        [...vector.expected].flatMap(([name, { data }]) =>
          name.startsWith("d_") ? [[name, data] as const] : [],
        ),
      );
      expect(problem(read(pipeline, bytes), expected, { ...BOUNDS, floor: 0.1 })).toBeNull();
    });
  });
});
