import { describe, expect, test } from "vitest";
import { hostParameters, placeInputs } from "../../compiler/execution/call-tensors.ts";
import { EVERY_GRADIENT, readGradients } from "../../compiler/execution/training.ts";
import { choosePlan, cpuMachine, keepValues } from "../../compiler/plan/index.ts";
import type { Float64Tensor, Plan } from "../../runtime/contract/index.ts";
import type { CpuDevice } from "../../runtime/cpu/device.ts";
import {
  type CpuLauncher,
  type CpuTensor,
  createCpuLauncher,
  download,
  upload,
} from "../../runtime/cpu/index.ts";
import { drawInputs, drawParameters } from "../support/draw.ts";
import { describeGradientChecks, drawGradient, type GradientTrial } from "../support/gradients.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { callShapeOf } from "../support/rounded.ts";
import { withThreads } from "./harness.ts";

// The backward pass of the C library against the official vectors and the float64 reference.

/** A plan for gradients, whose calls take so many threads. */
export function planOf(
  device: CpuDevice,
  { pipeline, inputs }: GradientTrial,
  strip: number,
  threads: number,
): Plan {
  const plan = choosePlan(pipeline, {
    machine: cpuMachine(device.library),
    shape: callShapeOf(inputs),
    direction: "backward",
    options: { stripRows: strip },
  });
  return withThreads(plan, threads);
}

/** A launcher that has such a plan. @param forgets Whether its forward pass keeps nothing for it. */
export function trainerOf(
  device: CpuDevice,
  backward: Plan,
  parameters: ReadonlyMap<string, Float64Tensor>,
  forgets = false,
): Promise<CpuLauncher> {
  const { pipeline, nominal: shape } = backward;
  const plan = choosePlan(pipeline, { machine: cpuMachine(device.library), shape });
  const plans = [forgets ? plan : keepValues(plan)];
  const artifact = { name: pipeline.name, plans, backward: [backward], sources: {} };
  return createCpuLauncher(device, artifact, hostParameters(parameters));
}

async function gradientsOf(
  device: CpuDevice,
  trial: GradientTrial,
  plan: Plan,
): Promise<Map<string, Float32Array | Int32Array>> {
  const { pipeline, parameters, inputs, dO } = trial;
  const launcher = await trainerOf(device, plan, parameters, trial.forgets);
  const placed = placeInputs(pipeline, inputs, (tensor, as) => upload(device, tensor, as));
  const { saved } = await launcher.forward(placed, { save: true });
  const asked = { wanted: EVERY_GRADIENT };
  const gradients = await launcher.backward(saved, upload(device, dO, pipeline.storage), asked);
  saved.release();
  launcher.destroy();
  const read = (tensor: CpuTensor): ReturnType<typeof download> => download(device, tensor);
  const found = await readGradients({ download: read }, gradients);
  return new Map([...found].map(([name, { data }]) => [name, Float32Array.from(data)]));
}

/**
 * Describes the tests of one library.
 *
 * @param runs How many random attentions, before MTAC_RUNS.
 * @param vectors Which official vectors.
 */
export function describeGradients(
  title: string,
  device: CpuDevice,
  { runs, vectors = () => true }: { readonly runs: number; readonly vectors?: (name: string) => boolean },
): void {
  describe(title, () => {
    describeGradientChecks(
      [
        { strip: 32, threads: 1 },
        { strip: 8, threads: 3 },
      ],
      { strip: 4, threads: 2 },
      (seed) => ({ strip: [4, 8, 16, 32, 64][seed % 5] ?? 32, threads: 1 + (seed % 4) }),
      (trial, { strip, threads }) => gradientsOf(device, trial, planOf(device, trial, strip, threads)),
      { runs, everyVector: true, vectors, isolates: { strip: 8, threads: 2 } },
    );

    test("bits are the same for 1, 2, 3 and 7 threads, run after run", async () => {
      const pipeline = pipelineOf(
        "attention a { heads 4 kv_heads 2 head_dim 20 mask causal documents scores { conv 5x5 pad_query both mix 4 } weights { conv 3x3 mix 2 } output { norm gate } }",
        "a",
      );
      const parameters = drawParameters(pipeline, 3);
      const inputs = drawInputs(pipeline, { B: 2, Lq: 75, Lk: 90, R: 6 }, false, 4);
      const trial = { pipeline, parameters, inputs, dO: drawGradient(pipeline, inputs, 5, 1) };
      const bits = async (threads: number): Promise<string> => {
        const found = await gradientsOf(device, trial, planOf(device, trial, 16, threads));
        return [...found]
          .map(([name, { buffer }]) => `${name} ${Buffer.from(buffer).toString("base64")}`)
          .join();
      };
      const first = await bits(1);
      for (const threads of [7, 2, 3, 1, 7]) expect((await bits(threads)) === first, `${threads}`).toBe(true);
    });

    test("memory grows with the length, not with its square", async () => {
      const pipeline = pipelineOf(
        "attention a { heads 2 head_dim 16 mask causal scores { conv 6x11 } }",
        "a",
      );
      const bytes = async (length: number): Promise<number> => {
        const inputs = drawInputs(pipeline, { B: 1, Lq: length, Lk: length, R: 0 }, false, 1);
        const trial = {
          pipeline,
          parameters: drawParameters(pipeline, 2),
          inputs,
          dO: drawGradient(pipeline, inputs, 3, 1),
        };
        const launcher = await trainerOf(device, planOf(device, trial, 16, 1), trial.parameters);
        const placed = placeInputs(pipeline, inputs, (tensor, as) => upload(device, tensor, as));
        const { saved } = await launcher.forward(placed, { save: true });
        const { statistics } = await launcher.backward(saved, upload(device, trial.dO, "f32"));
        launcher.destroy();
        return statistics.workspaceBytes;
      };
      const [short, long] = [await bytes(256), await bytes(512)];
      expect(long).toBeLessThanOrEqual(2 * short);
    });
  });
}
