import { afterAll, beforeAll, expect, test } from "vitest";
import { bestPlan, legalSchedules, limitsOf, runPlan } from "../support/gpu.ts";
import { openTestDevice } from "../support/node-device.ts";
import { COMMON_OFFSETS, LOWEST_F32, OFFSET_SPECS, type OffsetCase, offsetCase } from "../support/offsets.ts";
import { disagreement } from "../support/trial.ts";

let device: GPUDevice;

beforeAll(async () => {
  device = await openTestDevice();
});

afterAll(() => device.destroy());

async function checkSchedules({ pipeline, shape, parameters, inputs, expected }: OffsetCase): Promise<void> {
  for (const schedule of legalSchedules(pipeline)) {
    const found = bestPlan(pipeline, limitsOf(device), shape, schedule);
    if ("reason" in found) throw new Error(`${schedule}: ${found.reason}`);
    const result = await runPlan(device, found.plan, parameters, inputs);
    expect(disagreement(pipeline, result, expected), schedule).toBeNull();
  }
}

const SPECS = OFFSET_SPECS.flatMap((spec) =>
  (["f32", "f16"] as const).map((storage) => [spec, storage] as const),
);
const CASES = SPECS.flatMap((each) => COMMON_OFFSETS.map((offset) => [...each, offset] as const));

test.each(CASES)("%s, %s: logits that have %f in common", async (spec, storage, offset) => {
  await checkSchedules(offsetCase(spec, storage, offset));
});

test.each(SPECS)(
  "%s, %s: the lowest f32 at some keys takes their weight, and hides none",
  async (spec, storage) => {
    await checkSchedules(offsetCase(spec, storage, LOWEST_F32, "third"));
  },
);
