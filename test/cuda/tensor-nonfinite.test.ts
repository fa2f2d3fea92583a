import { describe, expect, test } from "vitest";
import type { CallShape, Pipeline, Plan } from "../../runtime/contract/index.ts";
import { referenceForward } from "../../runtime/reference/index.ts";
import { drawInputs, drawParameters } from "../support/draw.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { roundInputs } from "../support/rounded.ts";
import { spoil } from "../support/spoil.ts";
import { emulatedDevice, findNvcc, runCudaPlan } from "./harness.ts";
import { tensorPlans } from "./tensor-cases.ts";

const nvcc = await findNvcc();

// `semantics.md`, "Numbers": NaN and infinities reach the rows that read them, and no other row, head group or batch entry. Products
// make that hard: 0 times NaN is NaN.
const SPECS = {
  plain: "attention a { heads 2 head_dim 16 dtype f16 mask causal }",
  conv: "attention a { heads 2 head_dim 16 dtype bf16 mask causal scores { conv 3x5 } }",
  short: "attention a { heads 2 head_dim 16 dtype f16 mask causal scores { conv 2x5 } }",
  left: "attention a { heads 2 head_dim 16 dtype bf16 mask causal scores { conv 1x7 pad_key left } }",
  weights: "attention a { heads 2 head_dim 16 dtype f16 mask causal weights { conv 2x5 } }",
  mixed:
    "attention a { heads 4 kv_heads 2 head_dim 16 dtype f16 mask causal scores { conv 2x3 mix 2 } weights { mix 2 } output { norm } }",
} as const;

const SHAPE: CallShape = { B: 2, Lq: 75, Lk: 75, R: 0 };

/** Rows of the result, over batch entries and heads, that hold anything but finite numbers. */
function spoiltRows(pipeline: Pipeline, o: ArrayLike<number>): readonly number[] {
  const rows = new Set<number>();
  for (let index = 0; index < o.length; index += 1)
    if (!Number.isFinite(o[index])) rows.add(Math.floor(index / pipeline.valueDim));
  return [...rows];
}

describe.skipIf(nvcc === null)("NaN and infinities on tensor cores, emulated", () => {
  const cases = (Object.keys(SPECS) as (keyof typeof SPECS)[]).flatMap((spec) =>
    (["q", "k", "v"] as const).flatMap((tensor) =>
      [Number.NaN, Number.POSITIVE_INFINITY].map((value) => [spec, tensor, value] as const),
    ),
  );
  test.each(cases)("%s: %s holds %s", async (name, tensor, value) => {
    const pipeline = pipelineOf(SPECS[name], "a");
    const inputs = roundInputs(drawInputs(pipeline, SHAPE, false, 3), pipeline.storage);
    const parameters = drawParameters(pipeline, 3);
    // In the middle of a tile's diagonal block.
    const spoilt = spoil(inputs, tensor, 40, value);
    const expected = spoiltRows(pipeline, referenceForward(pipeline, parameters, spoilt).o.data);
    const device = await emulatedDevice();
    for (const schedule of ["single_pass", "two_pass", "staged"] as const) {
      // The cheapest of each lowering.
      const plans = new Map<unknown, Plan>();
      for (const make of [...tensorPlans(pipeline, SHAPE, schedule)].reverse()) {
        const plan = make();
        plans.set(plan.knobs["lowering"], plan);
      }
      for (const [lowering, plan] of plans) {
        const result = await runCudaPlan(device, plan, parameters, spoilt);
        const rows = spoiltRows(pipeline, result.o);
        // A score of minus infinity has no weight here, as in IEEE arithmetic; the reference makes its row NaN.
        const what = `${schedule} ${lowering}`;
        if (tensor !== "v" && !Number.isNaN(value))
          expect(expected, what).toEqual(expect.arrayContaining([...rows]));
        else expect(rows, what).toEqual(expected);
      }
    }
  });
});
