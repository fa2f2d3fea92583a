import { expect } from "vitest";
import type { AttentionInputs, CallShape, Float64Tensor, Pipeline } from "../../runtime/contract/index.ts";
import type { ReferenceResult } from "../../runtime/reference/index.ts";
import { bestPlan, legalSchedules, limitsOf, runPlan } from "./gpu.ts";
import { disagreement } from "./trial.ts";

/** A call with what must come out. */
export interface KnownCase {
  readonly pipeline: Pipeline;
  readonly shape: CallShape;
  readonly parameters: ReadonlyMap<string, Float64Tensor>;
  readonly inputs: AttentionInputs<Float64Tensor>;
  readonly expected: ReferenceResult;
}

/** Runs a case on WebGPU in every schedule that can compute it. */
export async function checkSchedules(device: GPUDevice, known: KnownCase): Promise<void> {
  const { pipeline, shape, parameters, inputs, expected } = known;
  for (const schedule of legalSchedules(pipeline)) {
    const found = bestPlan(pipeline, limitsOf(device), shape, schedule);
    if ("reason" in found) throw new Error(`${schedule}: ${found.reason}`);
    const result = await runPlan(device, found.plan, parameters, inputs);
    expect(disagreement(pipeline, result, expected), schedule).toBeNull();
  }
}
