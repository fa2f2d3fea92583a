import { afterAll, beforeAll, expect, test } from "vitest";
import { FAR_POSITIONS, FAR_SPECS, farCase } from "../support/far-positions.ts";
import { bestPlan, legalSchedules, limitsOf, runPlan } from "../support/gpu.ts";
import { openTestDevice } from "../support/node-device.ts";
import { disagreement } from "../support/trial.ts";

let device: GPUDevice;

beforeAll(async () => {
  device = await openTestDevice();
});

afterAll(() => device.destroy());

const CASES = FAR_SPECS.flatMap((mask) => FAR_POSITIONS.map((position) => [mask, position] as const));

test.each(CASES)("%s: a row at position %d", async (mask, position) => {
  const { pipeline, shape, parameters, inputs, expected } = farCase(mask, position);
  for (const schedule of legalSchedules(pipeline)) {
    const found = bestPlan(pipeline, limitsOf(device), shape, schedule);
    if ("reason" in found) throw new Error(`${schedule}: ${found.reason}`);
    const result = await runPlan(device, found.plan, parameters, inputs);
    expect(disagreement(pipeline, result, expected), schedule).toBeNull();
  }
});
