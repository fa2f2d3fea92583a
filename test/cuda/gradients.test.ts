import { describe, expect, test } from "vitest";
import { elementCount } from "../../runtime/contract/index.ts";
import { contiguousStrides, upload } from "../../runtime/cuda/index.ts";
import { owned } from "../../runtime/cuda/tensors.ts";
import { drawInputs, drawOutputGradient, drawParameters } from "../support/draw.ts";
import { GRADIENT_RUNS } from "../support/gradient-runs.ts";
import { describeGradientChecks } from "../support/gradients.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { gradientsOn } from "../support/train.ts";
import { emulatedDevice, findNvcc, machineFor, trainingDevice } from "./harness.ts";

const available = (await findNvcc()) !== null;

describe.skipIf(!available)("gradients on CUDA, executed from PTX", async () => {
  if (!available) return;
  const device = await emulatedDevice();
  const memory = trainingDevice(device);
  describeGradientChecks(
    [12],
    4,
    (seed) => [4, 8, 20, 32][seed % 4] ?? 32,
    (trial, stripRows) => {
      // Small calls are often cheaper on scalar units: those with strips of 12 rows, vectors among them, and 32 take tensor cores where they can.
      const isTensor = trial.pipeline.storage !== "f32" && [12, 32].includes(stripRows);
      return gradientsOn(memory, machineFor("sm_80"), trial, stripRows, isTensor ? "tensor" : undefined);
    },
    { runs: GRADIENT_RUNS.cuda.runs, isolates: 12, rounded: ["f16", "bf16"] },
  );

  test("gradients that begin at any word of the caller's memory", async () => {
    const pipeline = pipelineOf(
      "attention a { heads 2 head_dim 13 dtype f16 mask causal scores { conv 2x3 } }",
      "a",
    );
    const shape = { B: 1, Lq: 37, Lk: 37, R: 0 };
    const inputs = drawInputs(pipeline, shape, false, 21);
    const trial = {
      pipeline,
      inputs,
      parameters: drawParameters(pipeline, 22),
      dO: drawOutputGradient(pipeline, shape, 23),
    };
    // Of this call's tensors the gradients alone are f32.
    const shifted: typeof memory = {
      ...memory,
      upload: (tensor, storage) => {
        if (storage !== "f32") return memory.upload(tensor, storage);
        const { shape } = tensor;
        const words = elementCount(shape) + 1;
        const { address } = upload(
          device,
          { shape: [words], data: new Float32Array(words).fill(Number.NaN) },
          storage,
        );
        return owned({ address, offset: 4, shape, strides: contiguousStrides(shape), storage });
      },
    };
    const [expected, found] = [
      await gradientsOn(memory, machineFor("sm_80"), trial, 32),
      await gradientsOn(shifted, machineFor("sm_80"), trial, 32),
    ];
    expect(found).toEqual(expected);
  });
});
