import { afterAll, describe, expect, test } from "vitest";
import { cpuMachine, unfusedPlan } from "../../compiler/plan/index.ts";
import { referenceForward } from "../../runtime/reference/index.ts";
import { drawInputs, drawParameters } from "../support/draw.ts";
import { relativeError } from "../support/errors.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { openTestCpu, presentCpus, runCpuPlan } from "./harness.ts";

// What benchmarks compare with: one strip of all rows, one block of all keys.

const SPECS = [
  "attention a { heads 4 kv_heads 2 head_dim 24 mask causal }",
  "attention a { heads 4 head_dim 16 mask causal scores { conv 6x11 mix 2 } weights { conv 3x5 mix 2 } output { norm gate } }",
  "attention a { heads 2 head_dim 8 mask causal window 30 documents normalize sparsemax weights { conv 4x3 } }",
] as const;

const LIBRARIES = await presentCpus();

describe.each(LIBRARIES.filter((name) => name === "native" || name === "plain"))("%s", async (library) => {
  const device = await openTestCpu(library);
  afterAll(() => device.close());

  test.each(SPECS)("whole maps give the same: %s", async (spec) => {
    const pipeline = pipelineOf(spec, "a");
    const shape = { B: 2, Lq: 69, Lk: 101, R: 3 };
    const parameters = drawParameters(pipeline, 7);
    const inputs = drawInputs(pipeline, shape, false, 8);
    const plan = unfusedPlan(pipeline, { machine: cpuMachine(device.library), shape });
    expect(plan.knobs).toEqual({ strip: 72, block: 128, threads: "all" });
    const { o } = await runCpuPlan(device, plan, parameters, inputs);
    expect(relativeError(o, referenceForward(pipeline, parameters, inputs).o.data)).toBeLessThan(5e-6);
  });
});

test("whole maps that no memory holds are left out", () => {
  const machine = cpuMachine({ lanes: 8, threads: 4 });
  const shape = { B: 1, Lq: 100_000, Lk: 100_000, R: 0 };
  expect(() => unfusedPlan(pipelineOf(SPECS[0], "a"), { machine, shape })).toThrow(
    expect.objectContaining({ code: "MTA405", message: expect.stringContaining("whole maps take") }),
  );
});
