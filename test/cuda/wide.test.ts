import { describe, expect, test } from "vitest";
import { referenceForward } from "../../runtime/reference/index.ts";
import { drawInputs, drawParameters } from "../support/draw.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { roundInputs } from "../support/rounded.ts";
import { emulatedDevice, findNvcc, runCudaPlan } from "./harness.ts";
import { outsideTolerance, tensorPlans } from "./tensor-cases.ts";

const nvcc = await findNvcc();

// A convolution whose taps lie further to the right than a step is wide.
const SPECS = {
  single_pass: "heads 1 head_dim 16 dtype f16 scores { conv 1x41 dilation 1x2 }",
  two_pass: "heads 1 head_dim 16 dtype f16 weights { conv 2x41 dilation 1x2 }",
  staged: "heads 1 head_dim 16 dtype f16 weights { conv 2x64 pad_key right dilation 1x3 }",
} as const;

describe.skipIf(nvcc === null)("reaches wider than a step, emulated", () => {
  test.each(Object.entries(SPECS))("%s", async (schedule, text) => {
    const pipeline = pipelineOf(`attention a { ${text} }`, "a");
    const shape = { B: 1, Lq: 100, Lk: 100, R: 0 };
    const inputs = roundInputs(drawInputs(pipeline, shape, false, 5), pipeline.storage);
    const parameters = drawParameters(pipeline, 5);
    const expected = referenceForward(pipeline, parameters, inputs);
    const device = await emulatedDevice();
    const plans = tensorPlans(pipeline, shape, schedule as keyof typeof SPECS);
    expect(plans.length).toBeGreaterThan(0);
    for (const make of plans) {
      const result = await runCudaPlan(device, make(), parameters, inputs);
      expect(outsideTolerance(pipeline, result, expected), JSON.stringify(make().knobs)).toBeNull();
    }
  });
});
