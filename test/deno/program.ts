// Runs under Deno (wgpu and naga: a WebGPU and a WGSL compiler that share no code with Dawn's) on Mesa's lavapipe, which has
// `shader-f16`. Started by run.mjs. Compiles every kernel of the examples and of random attentions, then runs all official
// vectors and random attentions with f16 storage in every schedule. Its last line counts what passed.
import * as fc from "fast-check";
import { resolve } from "../../compiler/ir/index.ts";
import { WEBGPU_VARIANTS } from "../../compiler/plan/index.ts";
import { requestDevice } from "../../runtime/index.ts";
import { referenceForward } from "../../runtime/reference/index.ts";
import { compileKernel } from "../../runtime/webgpu/pipelines.ts";
import { webgpuSuiteDevice } from "../suite/webgpu-device.ts";
import { randomCase } from "../support/arbitrary.ts";
import { backwardPlansFor, corpusPipelines, distinctKernels, plansFor } from "../support/corpus.ts";
import { bestPlan, legalSchedules, limitsOf, runPlan } from "../support/gpu.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { callShapeOf, roundInputs } from "../support/rounded.ts";
import { disagreement, runTrial, trialsOf } from "../support/trial.ts";
import { allVectors, callOf, caseNames, loadCase, OWN_VECTORS } from "../support/vectors.ts";

/** A kernel that takes longer to compile makes the first call of an attention a nuisance. */
const SLOW_COMPILE_MS = 2000;
const RANDOM_COMPILED = 40;
/** Of them those whose gradients are compiled, too. */
const RANDOM_GRADIENTS = 8;
const RANDOM_RUN = 12;

const counts = { passed: 0, failed: 0 };

function report(what: string, problem: string | null): void {
  if (problem === null) counts.passed += 1;
  else {
    counts.failed += 1;
    console.error(`FAILED ${what}: ${problem}`);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

async function compileAll(device: GPUDevice, seed: number): Promise<void> {
  const drawn = fc.sample(randomCase(), { seed, numRuns: RANDOM_COMPILED });
  const corpus = corpusPipelines();
  const random = drawn.map(({ attention }) => resolve(attention, "random.mta"));
  const trained = [...corpus, ...random.slice(0, RANDOM_GRADIENTS)];
  const kernels = distinctKernels([
    ...[...corpus, ...random].flatMap((pipeline) => plansFor(pipeline, WEBGPU_VARIANTS)),
    ...trained.flatMap((pipeline) => backwardPlansFor(pipeline, WEBGPU_VARIANTS)),
  ]);
  for (const { name, variant, source } of kernels) {
    const start = performance.now();
    const problem = await compileKernel(device, variant, source).then(() => null, messageOf);
    const milliseconds = performance.now() - start;
    report(`compiling ${name}`, problem);
    if (milliseconds > SLOW_COMPILE_MS) console.log(`slow: ${name} took ${milliseconds.toFixed(0)} ms`);
  }
}

/** Every vector with its inputs rounded to f16, against the float64 reference of the rounded inputs. */
async function runVectors(device: GPUDevice): Promise<void> {
  const folder = allVectors() ?? OWN_VECTORS;
  for (const name of caseNames(folder)) {
    const vector = loadCase(folder, name);
    const pipeline = { ...pipelineOf(vector.spec, vector.attention), storage: "f16" as const };
    const { inputs: exact, parameters } = callOf(pipeline, vector);
    const inputs = roundInputs(exact, "f16");
    const expected = referenceForward(pipeline, parameters, inputs);
    const factor = /^(29|30|31)_/.test(name) ? 10 : 1;
    for (const schedule of legalSchedules(pipeline)) {
      const found = bestPlan(pipeline, limitsOf(device), callShapeOf(inputs), schedule);
      if ("reason" in found) {
        if (schedule === "staged") report(`${name} staged`, found.reason);
        else console.log(`${name} ${schedule} does not fit: ${found.reason}`);
        continue;
      }
      const { plan } = found;
      const native = plan.storage === "f16-native" ? null : `the plan's storage is ${plan.storage}`;
      const problem = await runPlan(device, plan, parameters, inputs).then(
        (result) => native ?? disagreement(pipeline, result, expected, factor),
        messageOf,
      );
      report(`${name} ${schedule} ${JSON.stringify(plan.knobs)}`, problem);
    }
  }
}

async function runRandom(device: GPUDevice, seed: number): Promise<void> {
  // Two in three with f16, which no other test runs natively.
  const cases = randomCase({ storages: ["f16", "f16", "f32"] });
  const suite = webgpuSuiteDevice(device);
  for (const drawn of fc.sample(cases, { seed, numRuns: RANDOM_RUN })) {
    const expected = referenceForward(drawn.pipeline, drawn.parameters, drawn.inputs);
    for (const trial of trialsOf(drawn, suite, { best: true, candidates: 1 }).trials) {
      report(`random, seed ${seed}`, await runTrial(suite, trial, expected));
    }
  }
}

async function timed(what: string, work: () => Promise<void>): Promise<void> {
  const start = performance.now();
  const before = { ...counts };
  await work();
  const seconds = ((performance.now() - start) / 1000).toFixed(0);
  const { passed, failed } = counts;
  console.log(`${what}: ${passed - before.passed} passed, ${failed - before.failed} failed (${seconds} s)`);
}

/** `null` where there is no adapter with f16: then nothing of this can be checked. */
async function openDevice(): Promise<GPUDevice | null> {
  const adapter = await navigator.gpu.requestAdapter();
  if (adapter === null) return null;
  console.log(`${adapter.info.description}${adapter.features.has("shader-f16") ? ", shader-f16" : ""}`);
  return adapter.features.has("shader-f16") ? requestDevice(adapter) : null;
}

const seed = Number(process.argv[2] ?? Date.now() % 2 ** 31);
console.log(`seed ${seed}`);
const device = await openDevice();
if (device === null) report("the device", "no WebGPU adapter with shader-f16");
else {
  await timed("kernels compiled", () => compileAll(device, seed));
  await timed("official vectors in f16", () => runVectors(device));
  await timed("random attentions", () => runRandom(device, seed));
}
console.log(`${counts.passed} passed, ${counts.failed} failed`);
process.exit(counts.failed === 0 ? 0 : 1);
