import { afterAll, describe, expect, test } from "vitest";
import { compareTensors } from "../../compiler/execution/comparison.ts";
import { randomCall } from "../../compiler/execution/random-call.ts";
import { choosePlan } from "../../compiler/plan/index.ts";
import { openMeter } from "../../compiler/targets/index.ts";
import { referenceForward } from "../../runtime/reference/index.ts";
import { pipelineOf } from "../support/pipelines.ts";

const pipeline = pipelineOf(
  "attention a { heads 2 head_dim 8 dtype f16 mask causal lengths scores { conv 2x3 } output { norm depth_scale } }",
  "a",
);
const shape = { B: 2, Lq: 20, Lk: 20, R: 0 };
const call = randomCall(pipeline, shape, { seed: 3, layer: 4, grad: false });
const meter = await openMeter("webgpu");

afterAll(() => meter.close());

describe("a meter of a WebGPU device", () => {
  test.each(["the first device", "another one, after a restart"])(
    "computes and times a plan on %s",
    async (which) => {
      if (which !== "the first device") await meter.restart();
      const placed = meter.place(pipeline, call);
      const plan = await meter.open(choosePlan(pipeline, { machine: meter.machine, shape }), call);
      const { time, clock } = await plan.sample(placed);
      expect(clock).toBe("device");
      expect(time).toBeGreaterThan(0);
      const { o, lse } = referenceForward(pipeline, call.parameters, call.inputs);
      if (lse === null) throw new Error("softmax has a log-sum-exp");
      const errors = compareTensors(
        await plan.results(placed),
        new Map([
          ["o", o],
          ["lse", lse],
        ]),
        "f16",
      );
      expect(errors).toMatchObject([{ ok: true }, { ok: true }]);
      plan.release();
      placed.release();
    },
  );

  test("says which device it is, as launchers do", () => {
    expect(meter.identity.split("|")).toHaveLength(5);
    expect(meter.machine.limits.workgroupBytes).toBeGreaterThanOrEqual(16384);
  });
});
