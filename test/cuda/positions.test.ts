import { describe, expect, test } from "vitest";
import { SCHEDULES } from "../../runtime/contract/index.ts";
import { FAR_POSITIONS, FAR_SPECS, farCase } from "../support/far-positions.ts";
import { roundInputs } from "../support/rounded.ts";
import { checkDirectSchedules } from "./direct-cases.ts";
import { emulatedDevice, findNvcc, runCudaPlan } from "./harness.ts";
import { outsideTolerance, tensorPlans } from "./tensor-cases.ts";

const nvcc = await findNvcc();

const CASES = FAR_SPECS.flatMap((mask) => FAR_POSITIONS.map((position) => [mask, position] as const));

describe.skipIf(nvcc === null)("rows far beyond the keys, emulated", () => {
  test.each(CASES)("%s: a row at position %d", async (mask, position) => {
    await checkDirectSchedules(farCase(mask, position));
  });

  test.each(CASES)("%s on tensor cores: a row at position %d", async (mask, position) => {
    const { pipeline, shape, parameters, inputs, expected } = farCase(mask, position, "f16");
    const device = await emulatedDevice();
    let plans = 0;
    for (const schedule of SCHEDULES)
      for (const make of tensorPlans(pipeline, shape, schedule).slice(0, 2)) {
        const result = await runCudaPlan(device, make(), parameters, roundInputs(inputs, "f16"));
        expect(outsideTolerance(pipeline, result, expected), schedule).toBeNull();
        plans += 1;
      }
    expect(plans).toBeGreaterThan(0);
  });
});
