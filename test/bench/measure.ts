import { emitKernels } from "../../compiler/emit/index.ts";
import type { CallShape, Pipeline, Plan } from "../../runtime/contract/index.ts";
import {
  type AttentionInputs,
  type CallFootprint,
  createLauncher,
  type DeviceTensor,
  type Launcher,
  randomParameters,
  upload,
} from "../../runtime/index.ts";
import { Random } from "../support/random.ts";

/** One plan ready to be timed. */
export interface Runner {
  readonly name: string;
  readonly plan: Plan;
  readonly launcher: Launcher;
  readonly times: number[];
  footprint: CallFootprint | null;
}

export async function createRunner(device: GPUDevice, name: string, plan: Plan): Promise<Runner> {
  const artifact = { name: plan.pipeline.name, plans: [plan], sources: emitKernels(plan) };
  const launcher = await createLauncher(device, artifact, randomParameters(plan.pipeline, 1), {
    timestamps: true,
  });
  return { name, plan, launcher, times: [], footprint: null };
}

export function randomInputs(
  device: GPUDevice,
  pipeline: Pipeline,
  shape: CallShape,
): AttentionInputs<DeviceTensor> {
  const random = new Random(1);
  const tensor = (dimensions: readonly number[]): DeviceTensor => {
    const data = new Float32Array(dimensions.reduce((product, size) => product * size, 1));
    for (let index = 0; index < data.length; index += 1) data[index] = random.normal();
    return upload(device, { shape: dimensions, data }, pipeline.storage);
  };
  const { heads, kvHeads, headDim, valueDim } = pipeline;
  return {
    q: tensor([shape.B, heads, shape.Lq, headDim]),
    k: tensor([shape.B, kvHeads, shape.Lk, headDim]),
    v: tensor([shape.B, kvHeads, shape.Lk, valueDim]),
  };
}

/** Runs all plans in turns, so that drifts of a shared machine meet all alike. Device time where there is one, else wall time. */
export async function interleave(
  runners: readonly Runner[],
  inputs: AttentionInputs<DeviceTensor>,
  rounds: number,
): Promise<void> {
  for (let round = 0; round < rounds; round += 1) {
    for (const runner of runners) {
      const { wallMs, deviceMs, footprint } = await runner.launcher.time(inputs, { repeats: 1 });
      runner.times.push(deviceMs[0] ?? wallMs[0] ?? Number.NaN);
      runner.footprint = footprint;
    }
  }
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return ((sorted[middle] ?? Number.NaN) + (sorted[sorted.length - 1 - middle] ?? Number.NaN)) / 2;
}
