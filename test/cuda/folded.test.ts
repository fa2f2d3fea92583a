import { describe, expect, test } from "vitest";
import { emitKernels } from "../../compiler/emit/index.ts";
import type { PlanOptions } from "../../compiler/plan/index.ts";
import type { CallShape, Plan } from "../../runtime/contract/index.ts";
import { referenceForward } from "../../runtime/reference/index.ts";
import { drawInputs, drawParameters } from "../support/draw.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { roundInputs } from "../support/rounded.ts";
import { emulatedDevice, findNvcc, runCudaPlan } from "./harness.ts";
import { faultsOf } from "./nvcc.ts";
import { outsideTolerance, tensorPlans } from "./tensor-cases.ts";

// The `folded` lowering: keys convolved beforehand, and a second kernel near the diagonal where a causal mask hides taps.

const nvcc = await findNvcc();

/** Specs, and the calls to make of them: query rows, keys, history. */
const SPECS: readonly (readonly [
  name: string,
  text: string,
  calls: readonly (readonly [number, number, number])[],
])[] = [
  [
    "1x11 both",
    "heads 2 head_dim 16 dtype f16 scores { conv 1x11 }",
    [
      [150, 150, 0],
      [75, 200, 0],
      [1, 300, 0],
    ],
  ],
  [
    "1x9 left",
    "heads 2 head_dim 24 dtype bf16 scores { conv 1x9 pad_key left bias }",
    [
      [150, 150, 0],
      [1, 90, 0],
    ],
  ],
  [
    "2x5 right",
    "heads 2 head_dim 16 dtype f16 scores { conv 2x5 pad_key right }",
    [
      [140, 140, 0],
      [3, 170, 5],
    ],
  ],
  [
    "4x3, not causal",
    "heads 2 head_dim 16 mask none dtype f16 scores { conv 4x3 softcap 20 }",
    [[70, 130, 3]],
  ],
  [
    "3x3 both ways, dilated",
    "heads 2 head_dim 32 mask none dtype bf16 scores { conv 3x3 pad_query both dilation 2x3 }",
    [[90, 90, 0]],
  ],
  [
    "1x41 dilated, grouped, lengths",
    "heads 4 kv_heads 2 head_dim 16 value_dim 32 mask causal lengths dtype f16 scores { conv 1x41 dilation 1x2 shared } output { norm gate }",
    [
      [130, 190, 0],
      [9, 9, 0],
    ],
  ],
  ["2x1", "heads 2 head_dim 8 dtype f16 scores { conv 2x1 bias }", [[140, 140, 0]]],
];

function foldedPlans(text: string, shape: CallShape, options: PlanOptions = {}): readonly (() => Plan)[] {
  const pipeline = pipelineOf(`attention a { ${text} }`, "a");
  return tensorPlans(pipeline, shape, "single_pass", { lowering: "folded", options });
}

describe.skipIf(nvcc === null)("keys convolved beforehand, emulated", () => {
  test.each(SPECS)("%s: every candidate agrees with the reference", async (_name, text, calls) => {
    const pipeline = pipelineOf(`attention a { ${text} }`, "a");
    const device = await emulatedDevice();
    for (const [Lq, Lk, R] of calls) {
      const shape = { B: 2, Lq, Lk, R };
      const inputs = roundInputs(drawInputs(pipeline, shape, false, 7), pipeline.storage);
      const parameters = drawParameters(pipeline, 7);
      const expected = referenceForward(pipeline, parameters, inputs);
      const plans = foldedPlans(text, shape);
      expect(plans.length).toBeGreaterThan(0);
      // Keys of few rows, shared by several blocks.
      const shared = Lq < 20 ? foldedPlans(text, shape, { splits: 3 }) : [];
      expect(shared).toHaveLength(Lq < 20 ? plans.length : 0);
      for (const make of [...plans, ...shared]) {
        const plan = make();
        const result = await runCudaPlan(device, plan, parameters, inputs);
        expect(
          outsideTolerance(pipeline, result, expected),
          `${JSON.stringify([shape, plan.knobs])}`,
        ).toBeNull();
      }
    }
  });

  test.each(SPECS)("%s: nvcc has no warnings, nothing spills", async (_name, text) => {
    const plans = foldedPlans(text, { B: 16, Lq: 2048, Lk: 2048, R: 0 });
    for (const architecture of ["sm_80", "sm_90a", "sm_120a"]) {
      const texts = plans.slice(0, 2).flatMap((plan) => Object.values(emitKernels(plan())));
      for (const source of texts) expect(await faultsOf(source, architecture)).toEqual([]);
    }
  });
});
