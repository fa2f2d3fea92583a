import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { emitKernels } from "../../compiler/emit/index.ts";
import { choosePlan, DEFAULT_SHAPE, WEBGPU_COMMON_LIMITS, webgpuMachine } from "../../compiler/plan/index.ts";
import { randomCase } from "../support/arbitrary.ts";
import { bestPlans } from "../support/best-plans.ts";
import { runsOf, SEED } from "../support/seed.ts";

/** The fields of the launch block that a text reads. */
function fieldsIn(text: string): string[] {
  const code = text.replace(/\/\/.*$/gm, "");
  return [...new Set([...code.matchAll(/\blaunch\.(\w+)/g)].map(([, field = ""]) => field))].sort();
}

describe("kernels list just the fields of the launch block that their texts read", () => {
  const cases = fc.sample(randomCase({ maxHeads: 8, maxDim: 32, dimStep: 8 }), {
    seed: SEED,
    numRuns: runsOf(25),
  });

  test(`WebGPU, each kernel its own (seed ${SEED})`, () => {
    for (const { pipeline } of cases) {
      for (const plan of bestPlans(pipeline, "webgpu")) {
        const texts = emitKernels(plan);
        for (const { name, file, launch } of plan.kernels)
          expect([name, fieldsIn(texts[file] ?? "")]).toEqual([name, [...launch].sort()]);
      }
    }
  });

  test(`WebGPU, kernels of gradients (seed ${SEED})`, () => {
    const machine = webgpuMachine(WEBGPU_COMMON_LIMITS);
    for (const { pipeline } of cases) {
      const plan = choosePlan(pipeline, { machine, shape: DEFAULT_SHAPE, direction: "backward" });
      const texts = emitKernels(plan);
      for (const { name, file, launch } of plan.kernels)
        expect([name, fieldsIn(texts[file] ?? "")]).toEqual([name, [...launch].sort()]);
    }
  });

  test(`CUDA, all kernels of a plan the same (seed ${SEED})`, () => {
    for (const { pipeline } of cases) {
      for (const plan of bestPlans(pipeline, "cuda")) {
        const text = Object.values(emitKernels(plan)).join("\n");
        for (const { launch } of plan.kernels)
          expect([plan.schedule, plan.knobs, fieldsIn(text)]).toEqual([
            plan.schedule,
            plan.knobs,
            [...launch].sort(),
          ]);
      }
    }
  });
});
