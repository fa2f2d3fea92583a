import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { hostParameters, placeInputs } from "../../compiler/execution/call-tensors.ts";
import { TOLERANCES } from "../../compiler/execution/comparison.ts";
import { choosePlan, cpuMachine } from "../../compiler/plan/index.ts";
import type { AttentionInputs, Float64Tensor, Pipeline, Plan } from "../../runtime/contract/index.ts";
import type { CpuDevice } from "../../runtime/cpu/device.ts";
import {
  type CpuLauncher,
  type CpuTensor,
  createCpuLauncher,
  download,
  upload,
} from "../../runtime/cpu/index.ts";
import { type ReferenceGradients, referenceGradients } from "../../runtime/reference/index.ts";
import { randomCase } from "../support/arbitrary.ts";
import { sparsemaxMargin } from "../support/conditioning.ts";
import { drawInputs, drawParameters } from "../support/draw.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { Random } from "../support/random.ts";
import { callShapeOf, roundInputs } from "../support/rounded.ts";
import { runsOf, SEED } from "../support/seed.ts";
import { allVectors, callOf, caseNames, loadCase, OWN_VECTORS } from "../support/vectors.ts";
import { withThreads } from "./harness.ts";

// The backward pass of the C library against the official vectors and the float64 reference.

const FOLDER = allVectors() ?? OWN_VECTORS;

/**
 * Of all gradients' size: one that is a small rest of large terms is as exact as f32 is for these. Random attentions may have rows that see
 * one key before a norm, whose weights' gradients are 0 in exact arithmetic.
 */
const FLOOR = { vectors: 0.1, random: 1 } as const;

interface Trial {
  readonly pipeline: Pipeline;
  readonly parameters: ReadonlyMap<string, Float64Tensor>;
  readonly inputs: AttentionInputs<Float64Tensor>;
  readonly dO: Float64Tensor;
}

function norm(data: Iterable<number>): number {
  let sum = 0;
  for (const value of data) sum += value * value;
  return Math.sqrt(sum);
}

/** The gradients by their names in files. */
function named(gradients: ReferenceGradients): Map<string, ArrayLike<number> & Iterable<number>> {
  const { dQ, dQHistory, dK, dV, parameters } = gradients;
  const tensors = new Map<string, Float64Array>([
    ["d_q", dQ.data],
    ["d_k", dK.data],
    ["d_v", dV.data],
  ]);
  if (dQHistory !== null) tensors.set("d_q_history", dQHistory.data);
  for (const [name, { data }] of parameters) tensors.set(`d_${name}`, data);
  return tensors;
}

/** A plan for gradients, whose calls take so many threads. */
export function planOf(device: CpuDevice, { pipeline, inputs }: Trial, strip: number, threads: number): Plan {
  const plan = choosePlan(pipeline, {
    machine: cpuMachine(device.library),
    shape: callShapeOf(inputs),
    direction: "backward",
    options: { stripRows: strip },
  });
  return withThreads(plan, threads);
}

/** A launcher that has such a plan. */
export function trainerOf(
  device: CpuDevice,
  backward: Plan,
  parameters: ReadonlyMap<string, Float64Tensor>,
): Promise<CpuLauncher> {
  const { pipeline, nominal: shape } = backward;
  const plan = choosePlan(pipeline, { machine: cpuMachine(device.library), shape });
  const artifact = { name: pipeline.name, plans: [plan], backward: [backward], sources: {} };
  return createCpuLauncher(device, artifact, hostParameters(parameters));
}

async function gradientsOf(
  device: CpuDevice,
  trial: Trial,
  plan: Plan,
): Promise<Map<string, Float32Array | Int32Array>> {
  const { pipeline, parameters, inputs, dO } = trial;
  const launcher = await trainerOf(device, plan, parameters);
  const placed = placeInputs(pipeline, inputs, (tensor, as) => upload(device, tensor, as));
  const { saved } = await launcher.forward(placed, { save: true });
  const gradients = await launcher.backward(saved, upload(device, dO, pipeline.storage));
  const { dQ, dQHistory, dK, dV, parameters: found } = gradients;
  saved.release();
  launcher.destroy();
  const read = async (tensor: CpuTensor): Promise<Float32Array | Int32Array> => download(device, tensor);
  const results = new Map([
    ["d_q", await read(dQ)],
    ["d_k", await read(dK)],
    ["d_v", await read(dV)],
  ]);
  if (dQHistory !== null) results.set("d_q_history", await read(dQHistory));
  for (const [name, { data }] of found) results.set(`d_${name}`, Float32Array.from(data));
  return results;
}

/** What is wrong with gradients, or null. They are f32 whatever the storage: their bound is f32's. */
function problem(
  found: ReadonlyMap<string, ArrayLike<number>>,
  expected: ReadonlyMap<string, ArrayLike<number> & Iterable<number>>,
  { factor, floor }: { readonly factor: number; readonly floor: number },
): string | null {
  const bound = TOLERANCES.f32.gradients * factor;
  const all = norm([...expected.values()].map(norm));
  for (const [name, reference] of expected) {
    const values = found.get(name);
    if (values?.length !== reference.length) return `${name} is missing, or has another size`;
    const difference = norm(Array.from(values, (value, index) => value - (reference[index] ?? 0)));
    const size = Math.max(norm(reference), floor * all);
    if (difference > bound * size || Number.isNaN(difference)) return `${name}: ${difference / size}`;
  }
  return null;
}

/** d_o as it is stored. */
export function drawGradient(
  pipeline: Pipeline,
  inputs: AttentionInputs<Float64Tensor>,
  seed: number,
  size: number,
): Float64Tensor {
  const { B, Lq } = callShapeOf(inputs);
  const random = new Random(seed);
  const shape = [B, pipeline.heads, Lq, pipeline.valueDim];
  const data = Float64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.normal() * size);
  return roundInputs({ q: { shape, data }, k: { shape, data }, v: { shape, data } }, pipeline.storage).q;
}

/**
 * Describes the tests of one library.
 *
 * @param runs How many random attentions, before MTAC_RUNS.
 * @param vectors Which official vectors.
 */
export function describeGradients(
  title: string,
  device: CpuDevice,
  { runs, vectors = () => true }: { readonly runs: number; readonly vectors?: (name: string) => boolean },
): void {
  describe(title, () => {
    test.each(caseNames(FOLDER).filter(vectors))("official vector %s", async (name) => {
      const vector = loadCase(FOLDER, name);
      const pipeline: Pipeline = { ...pipelineOf(vector.spec, vector.attention), storage: "f32" };
      const { inputs, parameters, dO } = callOf(pipeline, vector);
      const trial = { pipeline, inputs, parameters, dO };
      const expected = new Map(
        [...vector.expected].flatMap(([tensor, { data }]) =>
          tensor.startsWith("d_") ? [[tensor, data] as const] : [],
        ),
      );
      const factor = /^(29|30|31)_/.test(name) ? 10 : 1;
      for (const [strip, threads] of [
        [32, 1],
        [8, 3],
      ] as const) {
        const found = await gradientsOf(device, trial, planOf(device, trial, strip, threads));
        expect(
          problem(found, expected, { factor, floor: FLOOR.vectors }),
          `strips of ${strip} rows, ${threads} threads`,
        ).toBeNull();
      }
    });

    test(`random attentions, any strip, any size of d_o (seed ${SEED})`, async () => {
      const check = fc.asyncProperty(randomCase({}), async (drawn) => {
        fc.pre(sparsemaxMargin(drawn) > 1e-3);
        const { pipeline, parameters, seed } = drawn;
        const inputs = roundInputs(drawn.inputs, pipeline.storage);
        const size = [1e-3, 1, 1e3][Math.abs(seed) % 3] ?? 1;
        const dO = drawGradient(pipeline, inputs, seed, size);
        const trial = { pipeline, parameters, inputs, dO };
        const expected = named(referenceGradients(pipeline, parameters, inputs, dO));
        const strip = [4, 8, 16, 32, 64][Math.abs(seed) % 5] ?? 32;
        const found = await gradientsOf(
          device,
          trial,
          planOf(device, trial, strip, 1 + (Math.abs(seed) % 4)),
        );
        expect(problem(found, expected, { factor: 1, floor: FLOOR.random })).toBeNull();
      });
      await fc.assert(check, { seed: SEED, numRuns: runsOf(runs), endOnFailure: true });
    }, 300_000);

    const MASKED =
      "attention a { heads 4 kv_heads 2 head_dim 12 mask causal lengths scores { conv 3x5 mix 2 } weights { conv 2x3 } output { norm } }";
    test.each([
      ["k", 45],
      ["v", 45],
      ["k", 20],
      ["v", 20],
      ["q", 20],
    ] as const)("NaN in row %s %i reaches what the reference says, and nothing else", async (tensor, row) => {
      const pipeline = pipelineOf(MASKED, "a");
      const parameters = drawParameters(pipeline, 3);
      const clean = drawInputs(pipeline, { B: 2, Lq: 50, Lk: 50, R: 0 }, false, 4);
      const { shape, data } = clean[tensor];
      const spoilt = Float64Array.from(data);
      spoilt[row * (shape[3] ?? 1) + 1] = Number.NaN;
      // Row 45 is padding in both entries.
      const lengths = { shape: [2], data: Float64Array.of(40, 30) };
      const inputs = { ...clean, lengths, [tensor]: { shape, data: spoilt } };
      const trial = { pipeline, parameters, inputs, dO: drawGradient(pipeline, clean, 5, 1) };
      const expected = named(referenceGradients(pipeline, parameters, inputs, trial.dO));
      const found = await gradientsOf(device, trial, planOf(device, trial, 8, 2));
      for (const [name, reference] of expected) {
        const values = Array.from(found.get(name) ?? []);
        const wrong = values.flatMap((value, index) => {
          const wanted = reference[index] ?? 0;
          const same = Number.isFinite(wanted) ? Math.abs(value - wanted) <= 1e-3 : !Number.isFinite(value);
          return same ? [] : [`${index}: ${value}, not ${wanted}`];
        });
        expect(wrong, name).toEqual([]);
      }
    });

    test("bits are the same for 1, 2, 3 and 7 threads, run after run", async () => {
      const pipeline = pipelineOf(
        "attention a { heads 4 kv_heads 2 head_dim 20 mask causal documents scores { conv 5x5 pad_query both mix 4 } weights { conv 3x3 mix 2 } output { norm gate } }",
        "a",
      );
      const parameters = drawParameters(pipeline, 3);
      const inputs = drawInputs(pipeline, { B: 2, Lq: 75, Lk: 90, R: 6 }, false, 4);
      const trial = { pipeline, parameters, inputs, dO: drawGradient(pipeline, inputs, 5, 1) };
      const bits = async (threads: number): Promise<string> => {
        const found = await gradientsOf(device, trial, planOf(device, trial, 16, threads));
        return [...found]
          .map(([name, { buffer }]) => `${name} ${Buffer.from(buffer).toString("base64")}`)
          .join();
      };
      const first = await bits(1);
      for (const threads of [7, 2, 3, 1, 7]) expect((await bits(threads)) === first, `${threads}`).toBe(true);
    });

    test("memory grows with the length, not with its square", async () => {
      const pipeline = pipelineOf(
        "attention a { heads 2 head_dim 16 mask causal scores { conv 6x11 } }",
        "a",
      );
      const bytes = async (length: number): Promise<number> => {
        const inputs = drawInputs(pipeline, { B: 1, Lq: length, Lk: length, R: 0 }, false, 1);
        const trial = {
          pipeline,
          parameters: drawParameters(pipeline, 2),
          inputs,
          dO: drawGradient(pipeline, inputs, 3, 1),
        };
        const launcher = await trainerOf(device, planOf(device, trial, 16, 1), trial.parameters);
        const placed = placeInputs(pipeline, inputs, (tensor, as) => upload(device, tensor, as));
        const { saved } = await launcher.forward(placed, { save: true });
        const { statistics } = await launcher.backward(saved, upload(device, trial.dO, "f32"));
        launcher.destroy();
        return statistics.workspaceBytes;
      };
      const [short, long] = [await bytes(256), await bytes(512)];
      expect(long).toBeLessThanOrEqual(2 * short);
    });
  });
}
