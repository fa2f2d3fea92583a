import { describe } from "vitest";
import { callDevice } from "../../compiler/execution/webgpu-device.ts";
import { webgpuMachine } from "../../compiler/plan/index.ts";
import { limitsOf } from "../support/gpu.ts";
import { GRADIENT_RUNS } from "../support/gradient-runs.ts";
import { describeGradientChecks } from "../support/gradients.ts";
import { openTestDevice } from "../support/node-device.ts";
import { gradientsOn } from "../support/train.ts";

const device = await openTestDevice();

describe("gradients on WebGPU", () => {
  describeGradientChecks(
    [12],
    4,
    (seed) => [4, 8, 20, 32, 128][seed % 5] ?? 32,
    (trial, stripRows) => gradientsOn(callDevice(device), webgpuMachine(limitsOf(device)), trial, stripRows),
    { runs: GRADIENT_RUNS.webgpu.runs, isolates: 8, reaches: false },
  );
});
