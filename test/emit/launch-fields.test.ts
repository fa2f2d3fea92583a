import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { emitKernels } from "../../compiler/emit/index.ts";
import {
  cudaArchitecture,
  cudaMachine,
  planCandidates,
  WEBGPU_COMMON_LIMITS,
  webgpuMachine,
} from "../../compiler/plan/index.ts";
import type { Pipeline, Plan } from "../../runtime/contract/index.ts";
import { randomCase } from "../support/arbitrary.ts";
import { runsOf, SEED } from "../support/seed.ts";

const architecture = cudaArchitecture("sm_80");
if (architecture === null) throw new Error("the planner does not know sm_80");
const MACHINES = { webgpu: webgpuMachine(WEBGPU_COMMON_LIMITS), cuda: cudaMachine(architecture) } as const;

/** The best plan of each schedule and lowering. */
function plansOf(pipeline: Pipeline, target: keyof typeof MACHINES): Plan[] {
  const shape = { B: 1, Lq: 64, Lk: 64, R: 0 };
  const best = new Map<string, Plan>();
  for (const { schedule, knobs, plan } of planCandidates(pipeline, { machine: MACHINES[target], shape })) {
    const key = `${schedule} ${knobs["lowering"] ?? ""}`;
    if (plan !== null && !best.has(key)) best.set(key, plan);
  }
  return [...best.values()];
}

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
      for (const plan of plansOf(pipeline, "webgpu")) {
        const texts = emitKernels(plan);
        for (const { name, file, launch } of plan.kernels)
          expect([name, fieldsIn(texts[file] ?? "")]).toEqual([name, [...launch].sort()]);
      }
    }
  });

  test(`CUDA, all kernels of a plan the same (seed ${SEED})`, () => {
    for (const { pipeline } of cases) {
      for (const plan of plansOf(pipeline, "cuda")) {
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
