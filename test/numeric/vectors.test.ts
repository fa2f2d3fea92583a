import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { AttentionInputs, Float64Tensor, Pipeline } from "../../runtime/contract/index.ts";
import { type ReferenceResult, referenceForward } from "../../runtime/reference/index.ts";
import { bestPlan, legalSchedules, limitsOf, runPlan } from "../support/gpu.ts";
import { openTestDevice } from "../support/node-device.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { callShapeOf, roundInputs } from "../support/rounded.ts";
import { disagreement } from "../support/trial.ts";
import { allVectors, callOf, caseNames, loadCase, OWN_VECTORS } from "../support/vectors.ts";

/** Cases with logits up to ±300: `semantics.md` grants them ten times the tolerance. */
const LARGE_LOGITS = /^(29|30|31)_/;

/** Cases whose inputs are also rounded to 16 bits: one for each kind of stage and mask. */
const ROUNDED_CASES = [
  "01_baseline_causal",
  "11_full_rescale_layer0",
  "16_gqa_8_2",
  "23_decode_1_hist",
  "26_documents_20_33_24",
  "33_additive_bias",
  "43_liger_sparsemax_g1",
];

const all = allVectors();
const folder = all ?? OWN_VECTORS;
const unfit: string[] = [];
let device: GPUDevice;

beforeAll(async () => {
  device = await openTestDevice();
});

afterAll(() => {
  device.destroy();
  if (unfit.length > 0) console.log(`schedules that do not fit this device:\n${unfit.join("\n")}`);
});

/** Runs a call in every schedule that can compute it; `staged` must always fit. */
async function checkSchedules(
  name: string,
  pipeline: Pipeline,
  call: { inputs: AttentionInputs<Float64Tensor>; parameters: ReadonlyMap<string, Float64Tensor> },
  expected: ReferenceResult,
): Promise<void> {
  const factor = LARGE_LOGITS.test(name) ? 10 : 1;
  for (const schedule of legalSchedules(pipeline)) {
    const found = bestPlan(pipeline, limitsOf(device), callShapeOf(call.inputs), schedule);
    if ("reason" in found) {
      expect(schedule, found.reason).not.toBe("staged");
      unfit.push(`  ${name} ${pipeline.storage} ${schedule}: ${found.reason}`);
      continue;
    }
    expect(found.plan.requires.storageBuffers).toBeLessThanOrEqual(8);
    const result = await runPlan(device, found.plan, call.parameters, call.inputs);
    const story = `${schedule} ${JSON.stringify(found.plan.knobs)}`;
    expect(disagreement(pipeline, result, expected, factor), story).toBeNull();
  }
}

/** Differs from every result. */
const NO_TENSOR: Float64Tensor = { shape: [], data: new Float64Array() };

describe(`official vectors in ${folder}`, () => {
  test.each(caseNames(folder))("%s: forward in every schedule, f32", async (name) => {
    const vector = loadCase(folder, name);
    const pipeline = { ...pipelineOf(vector.spec, vector.attention), storage: "f32" as const };
    const call = callOf(pipeline, vector);
    // The cases from Liger-Kernel have no lse: there the float64 reference's, which has the same o, must do.
    const { lse } = referenceForward(pipeline, call.parameters, call.inputs);
    await checkSchedules(name, pipeline, call, {
      o: vector.expected.get("o") ?? NO_TENSOR,
      lse: vector.expected.get("lse") ?? lse,
    });
  });
});

describe.each(["f16", "bf16"] as const)("inputs rounded to %s", (storage) => {
  test.each(ROUNDED_CASES)("%s: forward in every schedule", async (name) => {
    const vector = loadCase(OWN_VECTORS, name);
    const pipeline = { ...pipelineOf(vector.spec, vector.attention), storage };
    const { inputs, parameters } = callOf(pipeline, vector);
    const rounded = roundInputs(inputs, storage);
    await checkSchedules(
      name,
      pipeline,
      { inputs: rounded, parameters },
      referenceForward(pipeline, parameters, rounded),
    );
  });
});
