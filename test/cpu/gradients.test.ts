import { afterAll, describe, expect, test } from "vitest";
import { placeInputs } from "../../compiler/execution/call-tensors.ts";
import type { CpuDevice } from "../../runtime/cpu/device.ts";
import { allocate, type CpuTensor, upload } from "../../runtime/cpu/index.ts";
import { drawInputs } from "../support/draw.ts";
import { GRADIENT_RUNS } from "../support/gradient-runs.ts";
import { drawGradient } from "../support/gradients.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { describeGradients, planOf, trainerOf } from "./gradient-suite.ts";
import { type CpuLibraryName, openTestCpu, presentCpus } from "./harness.ts";

const LIBRARIES = await presentCpus();

for (const library of LIBRARIES) {
  const device = await openTestCpu(library);
  afterAll(() => device.close());
  describeGradients(library, device, { runs: GRADIENT_RUNS.cpu.runs });
}

describe.skipIf(LIBRARIES.length === 0)("what is refused", async () => {
  const pipeline = pipelineOf("attention a { heads 2 head_dim 8 mask causal }", "a");
  const inputs = drawInputs(pipeline, { B: 1, Lq: 5, Lk: 5, R: 0 }, false, 1);
  const trial = { pipeline, parameters: new Map(), inputs, dO: drawGradient(pipeline, inputs, 2, 1) };

  async function refused(library: CpuLibraryName, dO: (device: CpuDevice) => CpuTensor): Promise<unknown> {
    const device = await openTestCpu(library);
    const launcher = await trainerOf(device, planOf(device, trial, 8, 1), trial.parameters);
    const placed = placeInputs(pipeline, inputs, (tensor, as) => upload(device, tensor, as));
    const { saved } = await launcher.forward(placed, { save: true });
    const error = await launcher.backward(saved, dO(device)).then(
      () => null,
      (thrown: unknown) => thrown,
    );
    await device.close();
    return error;
  }

  test.each([
    ["MTA603", "another shape", (device: CpuDevice) => allocate(device, [1, 2, 4, 8], "f32")],
    ["MTA891", "another storage type", (device: CpuDevice) => allocate(device, [1, 2, 5, 8], "f16")],
    [
      "MTA892",
      "gaps along Dv",
      (device: CpuDevice) => allocate(device, [1, 2, 5, 8], "f32", { strides: [160, 80, 16, 2] }),
    ],
  ])("%s: d_o of %s", async (code, _what, dO) => {
    expect(await refused("native", dO)).toMatchObject({ code });
  });
});
