import { afterAll, beforeAll, expect, test } from "vitest";
import { bestPlan, legalSchedules, limitsOf, runPlan } from "../support/gpu.ts";
import { openTestDevice } from "../support/node-device.ts";
import { COMMON_OFFSETS, OFFSET_SPECS, offsetCase } from "../support/offsets.ts";
import { disagreement } from "../support/trial.ts";

let device: GPUDevice;

beforeAll(async () => {
  device = await openTestDevice();
});

afterAll(() => device.destroy());

const CASES = OFFSET_SPECS.flatMap((spec) =>
  (["f32", "f16"] as const).flatMap((storage) =>
    COMMON_OFFSETS.map((offset) => [spec, storage, offset] as const),
  ),
);

test.each(CASES)("%s, %s: logits that have %f in common", async (spec, storage, offset) => {
  const { pipeline, shape, parameters, inputs, expected } = offsetCase(spec, storage, offset);
  for (const schedule of legalSchedules(pipeline)) {
    const found = bestPlan(pipeline, limitsOf(device), shape, schedule);
    if ("reason" in found) throw new Error(`${schedule}: ${found.reason}`);
    const result = await runPlan(device, found.plan, parameters, inputs);
    expect(disagreement(pipeline, result, expected), schedule).toBeNull();
  }
});
