import ts from "typescript";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compileChecked } from "../../compiler/compile/compile.ts";
import { hostParameters, placeInputs } from "../../compiler/execution/call-tensors.ts";
import { relativeError } from "../../compiler/execution/comparison.ts";
import { type CallDevice, readTensor } from "../../compiler/execution/device.ts";
import { trainOn } from "../../compiler/execution/training.ts";
import { callDevice } from "../../compiler/execution/webgpu-device.ts";
import { analyse } from "../../compiler/language/index.ts";
import type { Artifact, AttentionInputs, Float64Tensor } from "../../runtime/contract/index.ts";
import type { CpuDevice } from "../../runtime/cpu/device.ts";
import { allocate, type CpuTensor, createCpuLauncher, download, upload } from "../../runtime/cpu/index.ts";
import type { Cpu } from "../../runtime/cpu/target.ts";
import { createLauncher, type DeviceTensor } from "../../runtime/index.ts";
import { referenceForward, referenceGradients } from "../../runtime/reference/index.ts";
import type { WebGpu } from "../../runtime/webgpu/target.ts";
import { openTestCpu } from "../cpu/harness.ts";
import { drawInputs, drawParameters } from "../support/draw.ts";
import { drawGradient, named, problem } from "../support/gradients.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { openDevice } from "../webgpu-runtime/device-fixture.ts";

// What is emitted for a spec with dropout: the module of its kernels, loaded as a program loads it.

const SPEC =
  "attention a { heads 2 head_dim 8 mask causal scores { conv 2x3 } weights { dropout 0.5 mix 2 } }";
const { spec } = analyse(SPEC, "spec.mta");
if (spec === null) throw new Error("the test's spec is wrong");
const { artifacts, cpu, cuda, files } = compileChecked(spec, {
  targets: ["webgpu", "cpu", "cuda"],
  grad: true,
});
const pipeline = pipelineOf(SPEC, "a");

const parameters = drawParameters(pipeline, 2);
const training = drawInputs(pipeline, { B: 2, Lq: 9, Lk: 12, R: 2 }, false, 1);
const { dropoutSeed: _none, ...inference } = training;
const dO = drawGradient(pipeline, training, 3, 1);

/** The artifact that a module of kernels exports. */
async function artifactIn(file: string): Promise<Artifact> {
  const text = ts.transpile(files[file] ?? "", {
    module: ts.ModuleKind.ESNext,
    target: ts.ScriptTarget.ES2023,
  });
  const { artifact }: { artifact: Artifact } = await import(
    /* @vite-ignore */ `data:text/javascript;base64,${Buffer.from(text).toString("base64")}`
  );
  return artifact;
}

test.each([
  ["a.kernels.ts", artifacts[0]],
  ["a.cpu.kernels.ts", cpu[0]],
  ["a.cuda.kernels.ts", cuda[0]],
])("%s holds the plans that drop weights, beside those that drop none", async (file, compiled) => {
  const { traces: _traces, ...expected } = compiled ?? { traces: [] };
  expect(await artifactIn(file)).toEqual(expected);
  expect(compiled?.dropout?.backward).not.toEqual([]);
  const name = file.replace("kernels.ts", "plan.json");
  expect(JSON.parse(files[name] ?? "").dropout).toMatchObject({ plans: [{}], backward: [{}] });
});

/** A call's results beside those of the reference. */
function expectCall(found: ReadonlyMap<string, Float64Tensor>, inputs: AttentionInputs<Float64Tensor>): void {
  const { o } = referenceForward(pipeline, parameters, inputs);
  const gradients = referenceGradients(pipeline, parameters, inputs, dO);
  const values = new Map([...found].map(([name, { data }]) => [name, data]));
  const expected = new Map([...named(gradients), ["o", o.data] as const]);
  expect(problem(values, expected, { bound: 2e-5, floor: 0.1 })).toBeNull();
}

test("a seed of another shape is refused", () => {
  const inputs = { ...training, dropoutSeed: { shape: [3], data: Float64Array.of(1, 2, 3) } };
  expect(() => referenceForward(pipeline, parameters, inputs)).toThrow(
    "the input dropout_seed has shape [3]; expected [2]",
  );
  expect(() => referenceForward(pipeline, parameters, inputs)).not.toThrow("[2] = [2]");
});

describe("on the processor", () => {
  let opened: CpuDevice;
  let device: CallDevice<CpuTensor, Cpu>;
  beforeAll(async () => {
    opened = await openTestCpu("plain");
    device = {
      launch: (artifact, values) => createCpuLauncher(opened, artifact, values),
      allocate: (shape, storage, label) => allocate(opened, shape, storage, { label }),
      upload: (tensor, storage) => upload(opened, tensor, storage),
      download: (tensor) => download(opened, tensor),
    };
  });
  afterAll(() => opened.close());

  test.each([
    ["trains", training],
    ["computes", inference],
  ])("%s", async (_does, inputs) => {
    const call = { inputs, parameters, dO };
    const artifact = await artifactIn("a.cpu.kernels.ts");
    const { tensors } = await trainOn(device, artifact, { pipeline, call }, dO);
    expectCall(tensors, inputs);
  });
});

describe("on WebGPU", () => {
  let opened: GPUDevice;
  let device: CallDevice<DeviceTensor, WebGpu>;
  beforeAll(async () => {
    opened = await openDevice();
    device = callDevice(opened);
  });

  test.each([
    ["trains", training],
    ["computes", inference],
  ])("%s", async (_does, inputs) => {
    const call = { inputs, parameters, dO };
    const { tensors } = await trainOn(device, await artifactIn("a.kernels.ts"), { pipeline, call }, dO);
    expectCall(tensors, inputs);
  });

  test("calls that drop weights are prepared and recorded", async () => {
    const launcher = await createLauncher(
      opened,
      await artifactIn("a.kernels.ts"),
      hostParameters(parameters),
    );
    const inputs = placeInputs(pipeline, training, device.upload);
    const size = { B: 2, Lq: 9, Lk: 12, R: 2, positions: inputs.positions !== undefined };
    await launcher.prepare({ ...size, backward: true, dropout: true });
    const encoder = opened.createCommandEncoder();
    const forward = launcher.encode(encoder, inputs, { save: true });
    const gradients = launcher.encodeBackward(encoder, forward.saved, device.upload(dO, "f32"));
    opened.queue.submit([encoder.finish()]);
    const { o } = referenceForward(pipeline, parameters, training);
    const { dQ } = referenceGradients(pipeline, parameters, training, dO);
    for (const [found, expected] of [
      [forward.o, o],
      [gradients.dQ, dQ],
    ] as const) {
      if (found === null) throw new Error("a gradient is missing");
      expect(relativeError(await readTensor(device, found), expected)).toBeLessThan(2e-5);
    }
  });
});
