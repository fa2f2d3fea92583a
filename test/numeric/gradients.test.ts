import { afterAll, describe, expect, test } from "vitest";
import { artifactOf } from "../../compiler/emit/index.ts";
import { hostParameters, placeInputs } from "../../compiler/execution/call-tensors.ts";
import { callDevice } from "../../compiler/execution/webgpu-device.ts";
import { choosePlan, webgpuMachine } from "../../compiler/plan/index.ts";
import { createLauncher, download, upload } from "../../runtime/index.ts";
import { drawInputs, drawOutputGradient, drawParameters } from "../support/draw.ts";
import { limitsOf } from "../support/gpu.ts";
import { GRADIENT_RUNS } from "../support/gradient-runs.ts";
import { describeGradientChecks } from "../support/gradients.ts";
import { openTestDevice } from "../support/node-device.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { gradientsOn } from "../support/train.ts";

const device = await openTestDevice();
afterAll(() => device.destroy());

describe("gradients on WebGPU", () => {
  describeGradientChecks(
    [12],
    4,
    (seed) => [4, 8, 20, 32, 128][seed % 5] ?? 32,
    (trial, stripRows) => gradientsOn(callDevice(device), webgpuMachine(limitsOf(device)), trial, stripRows),
    { runs: GRADIENT_RUNS.webgpu.runs, isolates: 8, reaches: false },
  );

  test("what a saved call keeps stays until recorded commands have been submitted", async () => {
    const spec = "heads 2 head_dim 6 value_dim 5 mask causal scores { conv 2x3 } output { norm gate }";
    const pipeline = pipelineOf(`attention a { ${spec} }`, "a");
    const shape = { B: 2, Lq: 9, Lk: 12, R: 0 };
    const planned = { machine: webgpuMachine(limitsOf(device)), shape };
    const artifact = artifactOf(
      pipeline,
      [choosePlan(pipeline, { ...planned, schedule: "two_pass" })],
      [choosePlan(pipeline, { ...planned, direction: "backward" })],
    );
    expect(artifact.plans[0]?.keepsValues).toBe(true);
    const launcher = await createLauncher(device, artifact, hostParameters(drawParameters(pipeline, 2)));
    await launcher.prepare({ ...shape, backward: true });
    const inputs = placeInputs(pipeline, drawInputs(pipeline, shape, false, 1), (tensor, storage) =>
      upload(device, tensor, storage),
    );
    const dO = upload(device, drawOutputGradient(pipeline, shape, 3), "f32");
    const { saved } = await launcher.forward(inputs, { save: true });
    const { dQ } = await launcher.backward(saved, dO);
    saved.release();

    const encoder = device.createCommandEncoder();
    const forward = launcher.encode(encoder, inputs, { save: true });
    const backward = launcher.encodeBackward(encoder, forward.saved, dO);
    forward.saved.release();
    device.queue.submit([encoder.finish()]);
    for (const each of [forward, backward]) {
      await each.checked;
      each.release();
      each.release();
    }
    if (backward.dQ === null) throw new RangeError("there is no gradient of q");
    expect(await download(device, backward.dQ)).toEqual(await download(device, dQ));
    launcher.destroy();

    // A pass that has to compile its kernels first is under way for a while.
    const late = await createLauncher(device, artifact, hostParameters(drawParameters(pipeline, 2)));
    const { saved: early, statistics } = await late.forward(inputs, { save: true });
    const pass = late.backward(early, dO);
    early.release();
    expect(await download(device, (await pass).dQ)).toEqual(await download(device, dQ));
    const plain = await late.forward(inputs);
    expect(plain.statistics.workspaceBytes).toBe(statistics.workspaceBytes - 4 * 2 * 2 * 9 * 5);
    late.destroy();
  });
});
