import { describe, expect, test } from "vitest";
import type { Plan } from "../../runtime/contract/index.ts";
import { legalSchedules } from "../support/gpu.ts";
import { COMMON_OFFSETS, OFFSET_SPECS, type OffsetCase, offsetCase } from "../support/offsets.ts";
import { disagreement } from "../support/trial.ts";
import { directCandidates, emulatedDevice, findNvcc, planOf, runCudaPlan } from "./harness.ts";
import { outsideTolerance, tensorPlans } from "./tensor-cases.ts";

const nvcc = await findNvcc();

const EXACT = OFFSET_SPECS.flatMap((spec) => COMMON_OFFSETS.map((offset) => [spec, offset] as const));
const TENSOR = EXACT.filter(([spec]) => spec !== "sparsemax");

function run(plan: Plan, { parameters, inputs }: OffsetCase) {
  return emulatedDevice().then((device) => runCudaPlan(device, plan, parameters, inputs));
}

describe.skipIf(nvcc === null)("logits with much in common, emulated", () => {
  test.each(EXACT)("%s on exact f32 units: %f", async (spec, offset) => {
    const drawn = offsetCase(spec, "f32", offset);
    for (const schedule of legalSchedules(drawn.pipeline)) {
      const [best] = directCandidates(drawn.pipeline, drawn.shape, schedule);
      if (best === undefined) continue;
      const result = await run(planOf(best), drawn);
      expect(disagreement(drawn.pipeline, result, drawn.expected), schedule).toBeNull();
    }
  });

  // `staged` keeps final scores in f16, which has no room for such offsets.
  test.each(TENSOR)("%s on tensor cores: %f", async (spec, offset) => {
    const drawn = offsetCase(spec, "f16", offset);
    for (const schedule of ["single_pass", "two_pass"] as const) {
      const [make] = tensorPlans(drawn.pipeline, drawn.shape, schedule);
      if (make === undefined) continue;
      const result = await run(make(), drawn);
      expect(outsideTolerance(drawn.pipeline, result, drawn.expected), schedule).toBeNull();
    }
  });
});
