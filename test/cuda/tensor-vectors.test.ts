import { beforeAll, describe, expect, test } from "vitest";
import type { CudaDevice } from "../../runtime/cuda/index.ts";
import { referenceForward } from "../../runtime/reference/index.ts";
import { legalSchedules } from "../support/gpu.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { callShapeOf, roundInputs } from "../support/rounded.ts";
import { allVectors, callOf, caseNames, loadCase, OWN_VECTORS } from "../support/vectors.ts";
import { directCandidates, emulatedDevice, findNvcc, planOf, runCudaPlan } from "./harness.ts";
import { outsideTolerance, tensorPlans } from "./tensor-cases.ts";

/** Cases with logits up to ±300: `semantics.md` grants them ten times the tolerance. */
const LARGE_LOGITS = /^(29|30|31)_/;

const nvcc = await findNvcc();
// All 45 official cases where they are; `npm test` takes the subset that travels with the project.
const { MTAC_ALL_VECTORS } = process.env;
const folder = (MTAC_ALL_VECTORS === undefined ? null : allVectors()) ?? OWN_VECTORS;
let device: CudaDevice;

beforeAll(async () => {
  if (nvcc !== null) device = await emulatedDevice();
});

describe.skipIf(nvcc === null).each(["f16", "bf16"] as const)(
  `official vectors in ${folder}, inputs rounded to %s, emulated`,
  (storage) => {
    test.each(caseNames(folder))(
      "%s: forward in every schedule, tensor cores where they can",
      async (name) => {
        const vector = loadCase(folder, name);
        const pipeline = { ...pipelineOf(vector.spec, vector.attention), storage };
        const { inputs, parameters } = callOf(pipeline, vector);
        const rounded = roundInputs(inputs, storage);
        const expected = referenceForward(pipeline, parameters, rounded);
        const shape = callShapeOf(rounded);
        for (const schedule of legalSchedules(pipeline)) {
          const [tensor] = tensorPlans(pipeline, shape, schedule);
          const [direct] = directCandidates(pipeline, shape, schedule);
          const plan = tensor?.() ?? (direct === undefined ? null : planOf(direct));
          if (plan === null) {
            expect(schedule, "staged fits every pipeline").not.toBe("staged");
            continue;
          }
          const result = await runCudaPlan(device, plan, parameters, rounded);
          const story = `${schedule} ${JSON.stringify(plan.knobs)}`;
          const factor = LARGE_LOGITS.test(name) ? 10 : 1;
          expect(outsideTolerance(pipeline, result, expected, factor), story).toBeNull();
        }
      },
    );
  },
);
