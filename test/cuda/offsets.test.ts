import { describe, expect, test } from "vitest";
import { type Plan, SCHEDULES } from "../../runtime/contract/index.ts";
import { referenceForward } from "../../runtime/reference/index.ts";
import { describeOffsets } from "../suite/known.ts";
import { targetsOf } from "../suite/table.ts";
import { drawInputs } from "../support/draw.ts";
import { relativeError } from "../support/errors.ts";
import { FORWARD_TOLERANCE } from "../support/gpu.ts";
import type { KnownCase } from "../support/known-case.ts";
import { COMMON_OFFSETS, LOWEST_F32, OFFSET_SPECS, offsetCase } from "../support/offsets.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { roundInputs } from "../support/rounded.ts";
import { emulatedDevice, findNvcc, runCudaPlan } from "./harness.ts";
import { outsideTolerance, tensorPlans } from "./tensor-cases.ts";

const nvcc = await findNvcc();

describeOffsets(await targetsOf("cuda"));

const TENSOR_SPECS = OFFSET_SPECS.filter((spec) => spec !== "sparsemax");
const TENSOR = TENSOR_SPECS.flatMap((spec) => COMMON_OFFSETS.map((offset) => [spec, offset] as const));

function run(plan: Plan, { parameters, inputs }: KnownCase) {
  return emulatedDevice().then((device) => runCudaPlan(device, plan, parameters, inputs));
}

describe.skipIf(nvcc === null)("logits with much in common, emulated", () => {
  // `staged` keeps final scores in f16, which has no room for such offsets.
  test.each(TENSOR)("%s on tensor cores: %f", async (spec, offset) => {
    const drawn = offsetCase(spec, "f16", offset);
    for (const schedule of ["single_pass", "two_pass"] as const) {
      const [make] = tensorPlans(drawn.pipeline, drawn.shape, schedule);
      if (make === undefined) continue;
      const result = await run(make(), drawn);
      expect(outsideTolerance(drawn.pipeline, result, drawn.expected), schedule).toBeNull();
    }
  });

  test("a score below f16 is no hidden pair: a row that sees one key is its value", async () => {
    const pipeline = pipelineOf("attention a { heads 2 head_dim 32 scale 1 mask causal dtype f16 }", "a");
    const shape = { B: 1, Lq: 4, Lk: 4, R: 0 };
    const drawn = drawInputs(pipeline, shape, false, 3);
    const inputs = roundInputs(
      {
        ...drawn,
        q: { ...drawn.q, data: drawn.q.data.fill(128) },
        k: { ...drawn.k, data: drawn.k.data.fill(-128) },
      },
      "f16",
    );
    const expected = referenceForward(pipeline, new Map(), inputs);
    for (const schedule of ["single_pass", "staged"] as const) {
      const [make] = tensorPlans(pipeline, shape, schedule);
      if (make === undefined) throw new RangeError(`no plan for ${schedule}`);
      const { o, lse } = await runCudaPlan(await emulatedDevice(), make(), new Map(), inputs);
      expect(relativeError(o, expected.o.data), schedule).toBeLessThan(FORWARD_TOLERANCE.f16);
      expect(lse?.every(Number.isFinite), schedule).toBe(true);
    }
  });

  test.each(TENSOR_SPECS)("%s on tensor cores: the lowest f32 at some keys", async (spec) => {
    const drawn = offsetCase(spec, "f16", LOWEST_F32, "third");
    for (const schedule of SCHEDULES) {
      const [make] = tensorPlans(drawn.pipeline, drawn.shape, schedule);
      if (make === undefined) continue;
      const { o } = await run(make(), drawn);
      // The log-sum-exp of rows that see nothing else is beyond the f16 of `staged`.
      expect(relativeError(o, drawn.expected.o.data), schedule).toBeLessThan(FORWARD_TOLERANCE.f16);
    }
  });

  test("a negative scale on tensor cores", async () => {
    const pipeline = pipelineOf(
      "attention a { heads 2 head_dim 32 scale (-0.5) mask causal dtype f16 }",
      "a",
    );
    const shape = { B: 1, Lq: 35, Lk: 35, R: 0 };
    const inputs = roundInputs(drawInputs(pipeline, shape, false, 3), "f16");
    const expected = referenceForward(pipeline, new Map(), inputs);
    for (const schedule of SCHEDULES) {
      const [make] = tensorPlans(pipeline, shape, schedule);
      if (make === undefined) continue;
      const result = await runCudaPlan(await emulatedDevice(), make(), new Map(), inputs);
      expect(outsideTolerance(pipeline, result, expected), schedule).toBeNull();
    }
  });
});
