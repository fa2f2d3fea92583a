import { describe } from "vitest";
import { GRADIENT_RUNS } from "../support/gradient-runs.ts";
import { describeGradientChecks } from "../support/gradients.ts";
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
    (trial, stripRows) => gradientsOn(memory, machineFor("sm_80"), trial, stripRows),
    { runs: GRADIENT_RUNS.cuda.runs, isolates: 8, rounded: ["f16", "bf16"] },
  );
});
