import * as fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { cpuMachine } from "../../compiler/plan/index.ts";
import { libraryWorkspace } from "../../compiler/plan/library-workspace.ts";
import { cpuPlanner } from "../suite/cpu.ts";
import { randomCase } from "../support/arbitrary.ts";
import { Random } from "../support/random.ts";
import { runsOf, SEED } from "../support/seed.ts";
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
});
