import { expect, test } from "vitest";
import { compareTensors } from "../../compiler/execution/comparison.ts";
import { randomCall } from "../../compiler/execution/random-call.ts";
import { referenceTensors } from "../../compiler/execution/reference-results.ts";
import { execute } from "../../compiler/targets/index.ts";
import { describeDropouts } from "../suite/known.ts";
import { targetsOf } from "../suite/table.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { findNvcc } from "./harness.ts";

describeDropouts(await targetsOf("cuda"));

const nvcc = await findNvcc();

test.skipIf(nvcc === null)(
  "gradients on tensor cores read nothing that a dropout has not written",
  async () => {
    const spec = "attention a { heads 2 head_dim 16 dtype bf16 mask causal weights { dropout 0.5 } }";
    const pipeline = pipelineOf(spec, "a");
    // No multiple of the tiles.
    const shape = { B: 1, Lq: 40, Lk: 40, R: 0 };
    const call = randomCall(pipeline, shape, { seed: 1, layer: undefined, grad: true, drops: true });
    const { tensors } = await execute({ target: "cuda-emulated", pipeline, call, schedule: undefined });
    const errors = compareTensors(tensors, referenceTensors(pipeline, call), "bf16");
    expect(errors.filter(({ ok }) => !ok)).toEqual([]);
  },
);
