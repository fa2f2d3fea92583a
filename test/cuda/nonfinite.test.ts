import { describe, expect, test } from "vitest";
import type { CallShape } from "../../runtime/contract/index.ts";
import { referenceForward } from "../../runtime/reference/index.ts";
import { drawInputs, drawParameters } from "../support/draw.ts";
import { legalSchedules } from "../support/gpu.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { spoil } from "../support/spoil.ts";
import { directCandidates, emulatedDevice, findNvcc, planOf, runCudaPlan } from "./harness.ts";

const nvcc = await findNvcc();

// `semantics.md`, "Numbers": rows that NaN and infinities reach are NaN, all others are what they are without them.

const SPECS = {
  plain: "attention a { heads 2 head_dim 8 dtype f32 mask causal }",
  conv: "attention a { heads 2 head_dim 8 dtype f32 mask causal scores { conv 3x5 } }",
  weights:
    "attention a { heads 4 kv_heads 2 head_dim 8 dtype f32 mask causal window 9 scores { conv 2x3 } weights { conv 2x3 mix 2 } output { norm } }",
  sparse: "attention a { heads 2 head_dim 8 dtype f32 mask causal normalize sparsemax }",
  documents: "attention a { heads 2 head_dim 8 dtype f32 mask causal documents }",
} as const;

const SHAPE: CallShape = { B: 2, Lq: 37, Lk: 37, R: 0 };

describe.skipIf(nvcc === null)("NaN and infinities", () => {
  const cases = Object.keys(SPECS).flatMap((spec) =>
    (["q", "k", "v"] as const).flatMap((tensor) =>
      [Number.NaN, Number.POSITIVE_INFINITY].map((value) => [spec, tensor, value] as const),
    ),
  );
  test.each(cases)("%s: %s holds %s", async (name, tensor, value) => {
    const source = SPECS[name as keyof typeof SPECS];
    const pipeline = pipelineOf(source, "a");
    const inputs = drawInputs(pipeline, SHAPE, false, 3);
    const parameters = drawParameters(pipeline, 3);
    const row = 20;
    const spoilt = spoil(inputs, tensor, row, value);
    const reference = referenceForward(pipeline, parameters, spoilt).o.data;
    const device = await emulatedDevice();
    const perEntry = reference.length / SHAPE.B;
    const group = (pipeline.heads / pipeline.kvHeads) * SHAPE.Lq * pipeline.valueDim;
    for (const schedule of legalSchedules(pipeline)) {
      const [best] = directCandidates(pipeline, SHAPE, schedule);
      if (best === undefined) continue;
      const plan = planOf(best);
      const clean = (await runCudaPlan(device, plan, parameters, inputs)).o;
      const result = (await runCudaPlan(device, plan, parameters, spoilt)).o;
      const wrong: string[] = [];
      result.forEach((got, index) => {
        const expected = reference[index] ?? 0;
        const where = `${schedule} o[${index}] is ${got}`;
        // Nothing reaches another batch entry, and without mixing no other key/value head.
        const apart = index >= perEntry || (pipeline.weights.length === 0 && index % perEntry >= group);
        if (apart || Number.isFinite(expected)) {
          if (apart && !Object.is(got, clean[index]))
            wrong.push(`${where}, without ${value} ${clean[index]}`);
          else if (!Number.isFinite(got)) wrong.push(`${where}, reference ${expected}`);
        } else if (Number.isFinite(got)) wrong.push(`${where}, reference ${expected}`);
      });
      expect(wrong.slice(0, 5), `${wrong.length} elements`).toEqual([]);
    }
  });
});
