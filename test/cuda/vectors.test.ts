import { beforeAll, describe, expect, test } from "vitest";
import type { AttentionInputs, Float64Tensor, Pipeline } from "../../runtime/contract/index.ts";
import type { CudaDevice } from "../../runtime/cuda/index.ts";
import { type ReferenceResult, referenceForward } from "../../runtime/reference/index.ts";
import { legalSchedules } from "../support/gpu.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { callShapeOf, roundInputs } from "../support/rounded.ts";
import { disagreement } from "../support/trial.ts";
import { allVectors, callOf, caseNames, loadCase, OWN_VECTORS } from "../support/vectors.ts";
import { directCandidates, emulatedDevice, findNvcc, planOf, runCudaPlan } from "./harness.ts";

/** Cases with logits up to ±300: `semantics.md` grants them ten times the tolerance. */
const LARGE_LOGITS = /^(29|30|31)_/;

/** Differs from every result. */
const NO_TENSOR: Float64Tensor = { shape: [], data: new Float64Array() };

const nvcc = await findNvcc();
// All 45 official cases where they are; `npm test` takes the subset that travels with the project.
const { MTAC_ALL_VECTORS } = process.env;
const folder = (MTAC_ALL_VECTORS === undefined ? null : allVectors()) ?? OWN_VECTORS;
let device: CudaDevice;

beforeAll(async () => {
  if (nvcc !== null) device = await emulatedDevice();
});

/** Runs a call in every schedule that can compute it. */
async function checkSchedules(
  name: string,
  pipeline: Pipeline,
  call: { inputs: AttentionInputs<Float64Tensor>; parameters: ReadonlyMap<string, Float64Tensor> },
  expected: ReferenceResult,
): Promise<void> {
  const factor = LARGE_LOGITS.test(name) ? 10 : 1;
  for (const schedule of legalSchedules(pipeline)) {
    const [best] = directCandidates(pipeline, callShapeOf(call.inputs), schedule);
    if (best === undefined) {
      expect(schedule, "staged fits every pipeline").not.toBe("staged");
      continue;
    }
    const result = await runCudaPlan(device, planOf(best), call.parameters, call.inputs);
    const story = `${schedule} ${JSON.stringify(best.knobs)}`;
    expect(disagreement(pipeline, result, expected, factor), story).toBeNull();
  }
}

describe.skipIf(nvcc === null)(`official vectors in ${folder} on exact f32 units, emulated`, () => {
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

describe.skipIf(nvcc === null).each(["f16", "bf16"] as const)("inputs rounded to %s", (storage) => {
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
