import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { AttentionInputs, Float64Tensor, Pipeline } from "../../runtime/contract/index.ts";
import { type ReferenceResult, referenceForward } from "../../runtime/reference/index.ts";
import { legalSchedules } from "../support/gpu.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { callShapeOf, roundInputs } from "../support/rounded.ts";
import { allVectors, callOf, caseNames, loadCase, OWN_VECTORS } from "../support/vectors.ts";
import type { SuiteTargets } from "./table.ts";
import type { SuiteDevice, SuiteTarget } from "./target.ts";

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

/** Differs from every result. */
const NO_TENSOR: Float64Tensor = { shape: [], data: new Float64Array() };

interface Call {
  readonly inputs: AttentionInputs<Float64Tensor>;
  readonly parameters: ReadonlyMap<string, Float64Tensor>;
}

/** Runs a call in every schedule that can compute it; says which do not fit. */
async function checkSchedules(
  device: SuiteDevice,
  target: SuiteTarget,
  name: string,
  pipeline: Pipeline,
  { inputs, parameters }: Call,
  expected: ReferenceResult,
): Promise<string[]> {
  const factor = LARGE_LOGITS.test(name) ? 10 : 1;
  const unfit: string[] = [];
  for (const schedule of legalSchedules(pipeline, device)) {
    const shape = callShapeOf(inputs);
    let found = device.planner.plans(pipeline, shape, schedule);
    if ("reason" in found && device.fallback !== null)
      found = device.fallback.plans(pipeline, shape, schedule);
    if ("reason" in found) {
      // It must always fit.
      expect(schedule, found.reason).not.toBe("staged");
      unfit.push(`  ${name} ${pipeline.storage} ${schedule}: ${found.reason}`);
      continue;
    }
    const plan = found.plan(0);
    expect(plan.requires.storageBuffers).toBeLessThanOrEqual(target.storageBuffers);
    const result = await device.run(plan, parameters, inputs, null, 0);
    const story = `${schedule} ${JSON.stringify(plan.knobs)}`;
    expect(device.problem(pipeline, result, expected, factor), story).toBeNull();
  }
  return unfit;
}

/** The official vectors' results come out, on every target. */
export function describeVectors(targets: SuiteTargets): void {
  describe.each(targets)("%s", (name, target, available) => {
    const { MTAC_ALL_VECTORS } = process.env;
    const all = target.everyVector || MTAC_ALL_VECTORS !== undefined ? allVectors() : null;
    const folder = all ?? OWN_VECTORS;
    const unfit: string[] = [];
    let device: SuiteDevice;

    beforeAll(async () => {
      if (available) device = await target.open();
    });

    afterAll(() => {
      if (available) device.close();
      if (unfit.length > 0) console.log(`schedules that do not fit ${name}:\n${unfit.join("\n")}`);
    });

    describe.skipIf(!available).each(target.exact)(`official vectors in ${folder}, %s`, (storage) => {
      test.each(caseNames(folder))("%s: forward in every schedule", async (each) => {
        const vector = loadCase(folder, each);
        const pipeline = { ...pipelineOf(vector.spec, vector.attention), storage };
        const call = callOf(pipeline, vector);
        // The cases from Liger-Kernel have no lse: there the float64 reference's, which has the same o, must do.
        const { lse } = referenceForward(pipeline, call.parameters, call.inputs);
        const expected = {
          o: vector.expected.get("o") ?? NO_TENSOR,
          lse: vector.expected.get("lse") ?? lse,
        };
        unfit.push(...(await checkSchedules(device, target, each, pipeline, call, expected)));
      });
    });

    const [from, names] = target.roundsAll ? [folder, caseNames(folder)] : [OWN_VECTORS, ROUNDED_CASES];
    describe.skipIf(!available).each(target.rounded)(
      `vectors in ${from}, inputs rounded to %s`,
      (storage) => {
        test.each(names)("%s: forward in every schedule", async (each) => {
          const vector = loadCase(from, each);
          const pipeline = { ...pipelineOf(vector.spec, vector.attention), storage };
          const { inputs, parameters } = callOf(pipeline, vector);
          const call = { inputs: roundInputs(inputs, storage), parameters };
          const expected = referenceForward(pipeline, parameters, call.inputs);
          unfit.push(...(await checkSchedules(device, target, each, pipeline, call, expected)));
        });
      },
    );
  });
}
