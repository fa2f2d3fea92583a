import { expect, test } from "vitest";
import {
  keepValues,
  planCandidates,
  WEBGPU_COMMON_LIMITS,
  webgpuMachine,
} from "../../compiler/plan/index.ts";
import type { Plan, Schedule } from "../../runtime/contract/index.ts";
import { machineFor } from "../cuda/harness.ts";
import { pipelineOf } from "../support/pipelines.ts";

// Which forward plans keep what the output's stages are given.

const WEBGPU = webgpuMachine(WEBGPU_COMMON_LIMITS);
const SHAPE = { B: 1, Lq: 64, Lk: 64, R: 0 };

function planOf(rest: string, schedule: Schedule, machine = WEBGPU): Plan {
  const pipeline = pipelineOf(`attention a { heads 2 head_dim 8 ${rest} }`, "a");
  const plan = planCandidates(pipeline, { machine, shape: SHAPE, schedule })[0]?.plan;
  if (plan === null || plan === undefined) throw new Error(`no ${schedule} plan of ${rest}`);
  return plan;
}

/** Kernels that bind it, and what a device has to have for them. */
function keeping(plan: Plan): readonly (string | number)[] {
  const { kernels, requires, keepsValues } = keepValues(plan);
  const names = kernels.flatMap(({ name, bindings }) =>
    bindings.some(({ resource }) => resource === "values") ? [name] : [],
  );
  expect(keepsValues === true).toBe(names.length > 0);
  return [...names, requires.storageBuffers];
}

test("every kernel that writes o keeps it, where a backward pass has a use for it", () => {
  const output = "output { norm gate }";
  expect(keeping(planOf(`mask causal ${output}`, "staged"))).toEqual(["product", 5]);
  expect(keeping(planOf(`mask causal ${output}`, "two_pass"))).toEqual(["apply", 8]);
  expect(keeping(planOf(`mask causal ${output}`, "single_pass", machineFor("sm_80")))).toContain("attention");
  expect(keeping(planOf("mask causal", "staged"))).not.toContain("product");
});

test("none does where one would bind more buffers than every WebGPU device has", () => {
  const single = planOf("mask causal output { norm }", "single_pass");
  expect(keepValues(single)).toBe(single);
  expect(single.requires.storageBuffers).toBe(8);
});
