import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { emitArtifact } from "../../compiler/emit/index.ts";
import {
  choosePlan,
  WEBGPU_DEFAULT_LIMITS,
  WEBGPU_VARIANTS,
  webgpuMachine,
} from "../../compiler/plan/index.ts";
import { expandPlan } from "../../runtime/contract/expand.ts";
import { type CallShape, elementCount, type Pipeline, type Plan } from "../../runtime/contract/index.ts";
import { createLauncher, releaseWorkspace } from "../../runtime/index.ts";
import { referenceForward } from "../../runtime/reference/index.ts";
import { BUFFER_USAGE } from "../../runtime/webgpu/constants.ts";
import { createPool } from "../../runtime/webgpu/pool.ts";
import { slotBytes } from "../../runtime/webgpu/uniforms.ts";
import { randomCase } from "../support/arbitrary.ts";
import { corpusPipelines, kernelsOf, plansFor } from "../support/corpus.ts";
import { drawInputs, drawParameters } from "../support/draw.ts";
import { bestPlan, legalSchedules, limitsOf, runPlan } from "../support/gpu.ts";
import { openTestDevice } from "../support/node-device.ts";
import { runsOf, SEED } from "../support/seed.ts";
import { disagreement } from "../support/trial.ts";

// What plans may take of a device: storage buffers, workgroup memory, workspace.

const MIB = 2 ** 20;
let device: GPUDevice;

beforeAll(async () => {
  device = await openTestDevice();
});

afterAll(() => device.destroy());

function corpusPipeline(name: string): Pipeline {
  const found = corpusPipelines().find((pipeline) => pipeline.name === name);
  if (found === undefined) throw new Error(`no example has an attention ${name}`);
  return found;
}

/** Bytes of all `var<workgroup>` arrays that a kernel declares: their elements have four bytes each. */
function declaredBytes(source: string): number {
  const arrays = source.matchAll(/^var<workgroup> \w+: array<[fiu]32, (\d+)u?>;/gm);
  return [...arrays].reduce((sum, [, length]) => sum + 4 * Number(length), 0);
}

function checkRequirements(plan: Plan, workgroupBytes: number): void {
  const name = `${plan.pipeline.name} ${plan.schedule} ${JSON.stringify(plan.knobs)}`;
  expect(plan.requires.storageBuffers, name).toBeLessThanOrEqual(8);
  expect(plan.requires.workgroupBytes, name).toBeLessThanOrEqual(workgroupBytes);
  expect(plan.requires.invocations, name).toBeLessThanOrEqual(256);
  for (const { variant, source } of kernelsOf(plan)) {
    const { bindings, workgroupBytes: planned } = variant.kernel;
    expect(bindings.filter(({ access }) => access !== "uniform").length, name).toBeLessThanOrEqual(8);
    expect(source.match(/var<storage/g)?.length ?? 0, name).toBeLessThanOrEqual(8);
    expect(source.match(/var<workgroup>/g)?.length ?? 0, name).toBeLessThanOrEqual(2);
    expect(declaredBytes(source), `${name} ${variant.kernel.name}`).toBeLessThanOrEqual(planned);
    expect(planned, name).toBeLessThanOrEqual(plan.requires.workgroupBytes);
  }
}

describe("every plan keeps to the limits that it was made for", () => {
  test.each(WEBGPU_VARIANTS)("examples: $workgroupBytes bytes, features $features", (limits) => {
    for (const pipeline of corpusPipelines()) {
      for (const plan of plansFor(pipeline, [limits])) checkRequirements(plan, limits.workgroupBytes);
    }
  });

  test(`random attentions (seed ${SEED})`, () => {
    for (const { pipeline, shape } of fc.sample(randomCase(), { seed: SEED, numRuns: runsOf(40) })) {
      const plan = choosePlan(pipeline, { machine: webgpuMachine(WEBGPU_DEFAULT_LIMITS), shape });
      checkRequirements(plan, WEBGPU_DEFAULT_LIMITS.workgroupBytes);
    }
  });
});

/** What the runtime reports as `workspaceBytes`, from the plan alone: workspace, launch blocks and lse, as the pool rounds them. */
function predictedWorkspace(plan: Plan, shape: CallShape): number {
  const expanded = expandPlan(plan, { ...shape, positions: false });
  const pool = createPool(device);
  const held = [
    expanded.dispatches.length * slotBytes(device, plan),
    ...expanded.workspace.map(({ bytes }) => bytes),
  ].map((bytes) => {
    const pooled = pool.acquire(Math.max(bytes, 16), BUFFER_USAGE.STORAGE, "prediction");
    pool.release(pooled);
    pool.clear();
    return pooled.size;
  });
  const { heads, normalize } = plan.pipeline;
  const lse = normalize === "softmax" ? 4 * elementCount([shape.B, heads, shape.Lq]) : 0;
  return held.reduce((sum, bytes) => sum + bytes, lse);
}

describe("workspace of mta_830m, B = 1", () => {
  const square = (L: number): CallShape => ({ B: 1, Lq: L, Lk: L, R: 0 });
  const { plans } = emitArtifact(corpusPipeline("mta_830m"));

  test.each(plans.map((plan) => [`${plan.schedule} ${plan.storage}`, plan] as const))("%s", (_name, plan) => {
    const at512 = predictedWorkspace(plan, square(512));
    const at1024 = predictedWorkspace(plan, square(1024));
    const at16384 = predictedWorkspace(plan, square(16384));
    console.log(
      `mta_830m ${plan.schedule} ${plan.storage}: ${[at512, at1024, at16384].map((bytes) => (bytes / MIB).toFixed(1)).join(", ")} MiB at L = 512, 1024, 16384`,
    );
    expect(at512).toBeLessThanOrEqual(12 * MIB);
    expect(at1024).toBeLessThanOrEqual(2.2 * at512);
    expect(at16384).toBeLessThanOrEqual(64 * MIB);
  });

  test("also for the plans that the planner chooses at each length", () => {
    const machine = webgpuMachine(limitsOf(device));
    const workspaceAt = (L: number): number =>
      predictedWorkspace(choosePlan(corpusPipeline("mta_830m"), { machine, shape: square(L) }), square(L));
    const at512 = workspaceAt(512);
    expect(at512).toBeLessThanOrEqual(12 * MIB);
    expect(workspaceAt(1024)).toBeLessThanOrEqual(2.2 * at512);
    expect(workspaceAt(16384)).toBeLessThanOrEqual(64 * MIB);
  });

  test("the prediction is what a call measures", async () => {
    const shape = square(128);
    const pipeline = corpusPipeline("mta_830m");
    const inputs = drawInputs(pipeline, shape, false, 1);
    const parameters = drawParameters(pipeline, 2);
    const found = bestPlan(pipeline, limitsOf(device), shape, "staged");
    if ("reason" in found) throw new Error(found.reason);
    releaseWorkspace(device);
    const { statistics } = await runPlan(device, found.plan, parameters, inputs);
    expect(statistics.workspaceBytes).toBe(predictedWorkspace(found.plan, shape));
    expect(statistics.peakBytes - statistics.compulsoryBytes).toBe(statistics.workspaceBytes);
  });
});

describe("devices that differ", () => {
  const shape: CallShape = { B: 2, Lq: 21, Lk: 33, R: 3 };
  const names = ["mta_toy", "mta_300m"];

  test("a launcher on a device with WebGPU's default limits takes a plan that fits, and is right", async () => {
    const poor = await openTestDevice({
      limits: { maxComputeWorkgroupStorageSize: 16384, maxStorageBuffersPerShaderStage: 8 },
      withoutFeatures: ["shader-f16"],
    });
    try {
      for (const pipeline of names.map(corpusPipeline)) {
        const parameters = drawParameters(pipeline, 3);
        const inputs = { ...drawInputs(pipeline, shape, false, 4), layer: 5 };
        const values = new Map(
          [...parameters].map(([name, { data }]) => [name, Float32Array.from(data)] as const),
        );
        const launcher = await createLauncher(poor, emitArtifact(pipeline), values);
        expect(launcher.plan.requires.workgroupBytes).toBeLessThanOrEqual(16384);
        const result = await runPlan(poor, launcher.plan, parameters, inputs);
        const expected = referenceForward(pipeline, parameters, inputs);
        expect(disagreement(pipeline, result, expected), pipeline.name).toBeNull();
        launcher.destroy();
      }
    } finally {
      poor.destroy();
    }
  });

  test("kernels that find their workgroup memory zeroed, as the specification promises, give the same bits", async () => {
    // Elsewhere SwiftShader is told not to zero it: a kernel that relied on zeros would fail there, one that relied on
    // leftovers here.
    const zeroing = await openTestDevice({}, { fallback: "always", zeroWorkgroupMemory: true });
    try {
      const pipeline = corpusPipeline("mta_toy");
      const parameters = drawParameters(pipeline, 5);
      const inputs = { ...drawInputs(pipeline, shape, false, 6), layer: 1 };
      const expected = referenceForward(pipeline, parameters, inputs);
      for (const schedule of legalSchedules(pipeline)) {
        const found = bestPlan(pipeline, limitsOf(zeroing), shape, schedule);
        if ("reason" in found) continue;
        const result = await runPlan(zeroing, found.plan, parameters, inputs);
        expect(disagreement(pipeline, result, expected), schedule).toBeNull();
        const plain = await runPlan(device, found.plan, parameters, inputs);
        expect(result.o, schedule).toEqual(plain.o);
      }
    } finally {
      zeroing.destroy();
    }
  });
});
