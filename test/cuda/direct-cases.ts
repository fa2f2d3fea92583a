import { expect } from "vitest";
import { legalSchedules } from "../support/gpu.ts";
import type { KnownCase } from "../support/known-case.ts";
import { disagreement } from "../support/trial.ts";
import { directCandidates, emulatedDevice, planOf, runCudaPlan } from "./harness.ts";

/** Runs a case on exact f32 units, emulated, in every schedule that can compute it there. */
export async function checkDirectSchedules(known: KnownCase): Promise<void> {
  const { pipeline, shape, parameters, inputs, expected } = known;
  const device = await emulatedDevice();
  let plans = 0;
  for (const schedule of legalSchedules(pipeline)) {
    const [best] = directCandidates(pipeline, shape, schedule);
    if (best === undefined) continue;
    const result = await runCudaPlan(device, planOf(best), parameters, inputs);
    expect(disagreement(pipeline, result, expected), schedule).toBeNull();
    plans += 1;
  }
  expect(plans).toBeGreaterThan(0);
}
