import * as fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import type { PlanOptions } from "../../compiler/plan/index.ts";
import { expandPlan } from "../../runtime/contract/expand.ts";
import type { AttentionInputs, Float64Tensor, Pipeline } from "../../runtime/contract/index.ts";
import { referenceForward } from "../../runtime/reference/index.ts";
import { randomCase } from "../support/arbitrary.ts";
import { drawInputs, drawParameters } from "../support/draw.ts";
import { bestPlan, limitsOf, runPlan } from "../support/gpu.ts";
import { openTestDevice } from "../support/node-device.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { callShapeOf, roundInputs } from "../support/rounded.ts";
import { runsOf, SEED } from "../support/seed.ts";
import { disagreement } from "../support/trial.ts";

// Few rows over many keys: workgroups share the keys, and a kernel adds up what they find.

const device = await openTestDevice();
afterAll(() => device.destroy());

interface Drawn {
  readonly pipeline: Pipeline;
  readonly parameters: ReadonlyMap<string, Float64Tensor>;
  readonly inputs: AttentionInputs<Float64Tensor>;
}

/** What is wrong with a call whose keys are shared, or null; and which kernels it took. */
async function shared({ pipeline, parameters, inputs }: Drawn, options: PlanOptions) {
  const shape = callShapeOf(inputs);
  const found = bestPlan(pipeline, limitsOf(device), shape, "single_pass", options);
  if ("reason" in found) return { problem: found.reason, kernels: [] };
  const size = { ...shape, positions: inputs.positions !== undefined };
  const kernels = expandPlan(found.plan, size).dispatches.map(({ kernel }) => kernel.name);
  const result = await runPlan(device, found.plan, parameters, inputs);
  return { problem: disagreement(pipeline, result, referenceForward(pipeline, parameters, inputs)), kernels };
}

describe("keys that workgroups share", () => {
  test.each([
    ["one row", "mask causal", 1, {}],
    ["convolved scores of a few rows", "mask causal scores { conv 3x9 } output { norm }", 3, {}],
    ["convolutions one after the other", "mask causal scores { conv 2x11 conv 2x5 pad_key right }", 2, {}],
    [
      "mixed heads, and a gate of all channels",
      "mask causal scores { mix 2 } output { gate channel }",
      4,
      {},
    ],
    ["documents", "mask causal documents scores { conv 2x5 pad_key right } output { norm gate }", 3, {}],
    ["windows and lengths, f16", "dtype f16 mask causal window 60 lengths scores { softcap 20 }", 2, {}],
    ["dispatches that are cut", "mask causal scores { conv 2x3 }", 1, { dispatchBudget: 1 }],
  ] as const)("%s", async (_, spec, Lq, more) => {
    const pipeline = pipelineOf(`attention a { heads 4 kv_heads 2 head_dim 20 value_dim 18 ${spec} }`, "a");
    const drawn = drawInputs(pipeline, { B: 2, Lq, Lk: 333, R: 2 }, false, 5);
    const inputs = roundInputs({ ...drawn, layer: 2 }, pipeline.storage);
    const { problem, kernels } = await shared(
      { pipeline, parameters: drawParameters(pipeline, 6), inputs },
      { splits: 3, ...more },
    );
    expect(problem).toBeNull();
    expect(kernels.filter((name) => name === "combine").length).toBeGreaterThan(0);
    if (Lq === 1 && "dispatchBudget" in more)
      expect(kernels.filter((name) => name === "attention").length).toBeGreaterThan(1);
  });

  test(`random attentions (seed ${SEED})`, async () => {
    const cases = randomCase({
      maxKeys: 150,
      maxHeads: 6,
      masks: ["causal", "window", "documents", "lengths", "none"],
      normalizers: ["softmax"],
      sections: ["scores", "output"],
    });
    const check = fc.asyncProperty(cases, fc.integer({ min: 2, max: 5 }), async (drawn, splits) => {
      const { pipeline, parameters, shape } = drawn;
      const found = bestPlan(pipeline, limitsOf(device), shape, "single_pass", { splits });
      fc.pre(!("reason" in found));
      const inputs = roundInputs(drawn.inputs, pipeline.storage);
      expect((await shared({ pipeline, parameters, inputs }, { splits })).problem).toBeNull();
    });
    await fc.assert(check, { seed: SEED, numRuns: runsOf(6), endOnFailure: true });
  });
});
