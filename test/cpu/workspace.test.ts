import * as fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { placeInputs } from "../../compiler/execution/call-tensors.ts";
import { cpuMachine } from "../../compiler/plan/index.ts";
import { backwardWorkspace } from "../../compiler/plan/library-backward-workspace.ts";
import { libraryWorkspace } from "../../compiler/plan/library-workspace.ts";
import { upload } from "../../runtime/cpu/index.ts";
import { cpuPlanner } from "../suite/cpu.ts";
import { randomCase } from "../support/arbitrary.ts";
import { drawGradient } from "../support/gradients.ts";
import { Random } from "../support/random.ts";
import { roundInputs } from "../support/rounded.ts";
import { runsOf, SEED } from "../support/seed.ts";
import { planOf, trainerOf } from "./gradient-suite.ts";
import { openTestCpu, presentCpus, runCpuPlan, withThreads } from "./harness.ts";

describe.each(await presentCpus())("%s", (name) => {
  test(`the planner knows the library's workspace to the byte (seed ${SEED})`, async () => {
    const device = await openTestCpu(name);
    const asked = vi.spyOn(device.library.forward, "workspaceBytes");
    const cases = fc.sample(randomCase({ maxKeys: 150, maxDim: 40, sunkRows: true }), {
      seed: SEED,
      numRuns: runsOf(20),
    });
    for (const { pipeline, shape, parameters, inputs, seed } of cases) {
      const random = new Random(seed);
      const fitting = cpuPlanner(device).plans(pipeline, shape, "staged");
      if ("reason" in fitting) throw new Error(fitting.reason);
      const plan = withThreads(
        fitting.plan(random.integer(0, fitting.count - 1)),
        random.integer(1, device.library.threads),
      );
      await runCpuPlan(device, plan, parameters, inputs);
      const [last] = asked.mock.results.slice(-1);
      expect(last?.value).toBe(libraryWorkspace(plan, shape, cpuMachine(device.library)));
    }
    await device.close();
  });

  test(`and that of the backward pass (seed ${SEED})`, async () => {
    const device = await openTestCpu(name);
    const machine = cpuMachine(device.library);
    const asked = vi.spyOn(await device.library.backward(), "workspaceBytes");
    // The module puts what threads wait with before it.
    const own = device.library.kind === "wasm" ? 64 : 0;
    const cases = fc.sample(randomCase({ maxKeys: 150, maxDim: 40 }), { seed: SEED, numRuns: runsOf(20) });
    for (const { pipeline, shape, parameters, inputs: drawn, seed } of cases) {
      const inputs = roundInputs(drawn, pipeline.storage);
      const trial = { pipeline, parameters, inputs, dO: drawGradient(pipeline, inputs, seed, 1) };
      const plan = planOf(device, trial, new Random(seed).integer(1, 40), 1 + (Math.abs(seed) % 7));
      const launcher = await trainerOf(device, plan, parameters);
      const placed = placeInputs(pipeline, inputs, (tensor, as) => upload(device, tensor, as));
      const { saved } = await launcher.forward(placed, { save: true });
      await launcher.backward(saved, upload(device, trial.dO, pipeline.storage));
      const [last] = asked.mock.results.slice(-1);
      expect(last?.value).toBe(backwardWorkspace(plan, shape, machine) + own);
    }
    await device.close();
  });
});
