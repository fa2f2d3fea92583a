import { afterAll, describe, expect, test } from "vitest";
import type { CallShape, Plan } from "../../runtime/contract/index.ts";
import { cpuPlanner } from "../suite/cpu.ts";
import { drawInputs, drawParameters } from "../support/draw.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { openTestCpu, presentCpus, runCpuPlan, withThreads } from "./harness.ts";

// Each row is computed by one thread, in one order: results have the same bits for every number of threads, run after run.

const SPECS = {
  plain: "attention a { heads 4 kv_heads 2 head_dim 24 mask causal }",
  layer:
    "attention a { heads 4 head_dim 16 mask causal scores { conv 6x11 } weights { mix 2 } output { norm gate } }",
  rows: "attention a { heads 4 head_dim 16 mask causal documents scores { conv 5x5 pad_query both } weights { conv 3x3 mix 4 } }",
  halves:
    "attention a { heads 2 head_dim 9 value_dim 13 dtype f16 mask bias scores { conv 3x3 } output { gate channel } }",
  sparse:
    "attention a { heads 2 head_dim 8 dtype bf16 mask causal window 30 normalize sparsemax weights { conv 4x3 } }",
} as const;

const SHAPES: Readonly<Record<string, CallShape>> = {
  "many rows": { B: 2, Lq: 101, Lk: 130, R: 6 },
  decode: { B: 3, Lq: 2, Lk: 90, R: 6 },
};

const LIBRARIES = await presentCpus();

describe.each(LIBRARIES)("%s", async (library) => {
  const device = await openTestCpu(library);
  afterAll(() => device.close());
  const cases = Object.keys(SPECS).flatMap((spec) =>
    Object.keys(SHAPES).map((shape) => [spec, shape] as const),
  );
  test.each(cases)("%s, %s: bits are the same for 1, 2, 3 and 7 threads, run after run", async (name, of) => {
    const pipeline = pipelineOf(SPECS[name as keyof typeof SPECS], "a");
    const shape = SHAPES[of] ?? { B: 1, Lq: 1, Lk: 1, R: 0 };
    const parameters = drawParameters(pipeline, 7);
    const inputs = drawInputs(pipeline, shape, false, 8);
    const found = cpuPlanner(device).plans(pipeline, shape, "staged", { stripRows: 8 });
    if ("reason" in found) throw new Error(found.reason);
    const bits = async (plan: Plan): Promise<readonly Buffer[]> => {
      const { o, lse } = await runCpuPlan(device, plan, parameters, inputs);
      return [o, lse ?? new Float32Array()].map((each) => Buffer.from(each.buffer));
    };
    const first = await bits(withThreads(found.plan(0), 1));
    for (let run = 0; run < 3; run += 1)
      for (const threads of [7, 2, 3, 1]) {
        const again = await bits(withThreads(found.plan(0), threads));
        const same = again.every((bytes, index) => bytes.equals(first[index] ?? Buffer.alloc(0)));
        expect(same, `${threads} threads, run ${run}`).toBe(true);
      }
  });
});
