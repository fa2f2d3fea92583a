import { describe, expect, test } from "vitest";
import type { Schedule } from "../../runtime/contract/index.ts";
import { drawInputs, drawParameters } from "../support/draw.ts";
import { pipelineOf } from "../support/pipelines.ts";
import {
  type CudaResult,
  directCandidates,
  emulatedDevice,
  findNvcc,
  planOf,
  runCudaPlan,
} from "./harness.ts";
import { tensorPlans } from "./tensor-cases.ts";

const nvcc = await findNvcc();

const SPECS: readonly (readonly [name: string, schedule: Schedule, text: string])[] = [
  ["plain", "single_pass", "heads 2\n  head_dim 32\n  mask causal\n  dtype f16"],
  [
    "before the softmax",
    "single_pass",
    "heads 2\n  head_dim 32\n  mask causal\n  dtype f16\n  scores { conv 6x11 }",
  ],
  [
    "after the softmax",
    "two_pass",
    "heads 2\n  head_dim 32\n  mask causal\n  dtype bf16\n  weights { conv 4x7 }",
  ],
  [
    "all of it",
    "staged",
    "heads 4\n  head_dim 32\n  mask causal\n  dtype f16\n  scores { conv 6x11  mix 4 }\n  weights { conv 6x11  mix 4 }\n  output { norm  gate channel }",
  ],
];

/** Bits of a result: equal numbers that differ in sign or NaN payload would not do. */
function bits({ o, lse }: CudaResult): readonly Uint32Array[] {
  return [o, ...(lse === null ? [] : [lse])].map((values) => new Uint32Array(values.buffer.slice(0)));
}

describe.skipIf(nvcc === null)("warps in any order give the same bits, emulated", () => {
  test.each(SPECS)("%s, %s", async (_name, schedule, body) => {
    const pipeline = pipelineOf(`attention ordered {\n  ${body}\n}\n`, "ordered");
    const shape = { B: 1, Lq: 75, Lk: 75, R: 0 };
    const inputs = drawInputs(pipeline, shape, false, 5);
    const parameters = drawParameters(pipeline, 5);
    const [tensor] = tensorPlans(pipeline, shape, schedule);
    const [direct] = directCandidates(pipeline, shape, schedule);
    const plans = [tensor?.(), direct === undefined ? undefined : planOf(direct)];
    for (const plan of plans) {
      if (plan === undefined) throw new Error(`${schedule} has no plan`);
      const [first, ...others] = await Promise.all(
        (["forward", "reverse", "greedy"] as const).map(async (warpOrder) =>
          bits(await runCudaPlan(await emulatedDevice({ warpOrder }), plan, parameters, inputs)),
        ),
      );
      for (const other of others) expect(other, JSON.stringify(plan.knobs)).toEqual(first);
    }
  });
});
