import { describe, expect, test } from "vitest";
import {
  type CallShape,
  type Pipeline,
  type Plan,
  SCHEDULES,
  type Schedule,
} from "../../runtime/contract/index.ts";
import { referenceForward } from "../../runtime/reference/index.ts";
import { describeOffsets } from "../suite/known.ts";
import { targetsOf } from "../suite/table.ts";
import { drawInputs, drawParameters } from "../support/draw.ts";
import { relativeError } from "../support/errors.ts";
import { FORWARD_TOLERANCE } from "../support/gpu.ts";
import type { KnownCase } from "../support/known-case.ts";
import {
  COMMON_OFFSETS,
  LOWEST_F32,
  OFFSET_SPECS,
  offsetCase,
  offsetKinds,
  type Shift,
  shiftLogits,
} from "../support/offsets.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { roundInputs } from "../support/rounded.ts";
import { emulatedDevice, findNvcc, runCudaPlan } from "./harness.ts";
import { outsideTolerance, tensorPlans } from "./tensor-cases.ts";

const nvcc = await findNvcc();

describeOffsets(await targetsOf("cuda"));

const TENSOR_SPECS = OFFSET_SPECS.filter((spec) => spec !== "sparsemax");
const TENSOR = TENSOR_SPECS.flatMap((spec) => COMMON_OFFSETS.map((offset) => [spec, offset] as const));

/** Specs whose scores are rounded to f16 on their way: convolved, mixed, in maps between kernels. */
const SHIFTED = {
  plain: "heads 2 mask causal dtype f16",
  "one convolution": "heads 2 mask causal dtype f16 scores { conv 6x11 }",
  "a convolution to the left": "heads 2 mask causal dtype f16 scores { conv 1x9 pad_key left }",
  "a convolution and rows to come, bf16": "heads 2 mask none dtype bf16 scores { conv 3x5 pad_query both }",
  "a dilated one, in windows":
    "heads 2 mask causal window 30 dtype f16 scores { conv 3x5 dilation 2x3 bias }",
  "a cap before it and after it":
    "heads 2 mask causal dtype bf16 scores { softcap 400 conv 3x5 softcap 300 }",
  "a negative scale, filled lengths":
    "heads 2 scale (-0.3) mask causal lengths dtype f16 scores { conv 2x3 }",
  mixes: "heads 4 kv_heads 2 mask causal dtype f16 scores { mix 2 } weights { mix 4 }",
  "mixes, documents": "heads 4 mask causal documents dtype f16 scores { mix 2 } weights { mix 4 }",
  "a convolution of weights, a bias": "heads 2 mask causal bias dtype f16 weights { conv 3x5 }",
  "two mixes and a cap": "heads 4 mask causal dtype f16 scores { mix 2 softcap 400 mix 4 } weights { mix 2 }",
  "both convolutions": "heads 2 mask causal dtype f16 scores { conv 6x11 bias } weights { conv 3x5 }",
  "both, in windows": "heads 2 mask causal window 30 dtype f16 scores { conv 3x5 } weights { conv 2x3 }",
  "a convolution in documents, bf16": "heads 2 mask causal documents dtype bf16 scores { conv 3x5 bias }",
  "a convolution in documents, rows to come":
    "heads 2 mask documents dtype f16 scores { conv 5x3 pad_query both }",
  "a dilated one in windows, a bias":
    "heads 2 mask causal window 30 bias dtype f16 scores { conv 3x5 dilation 2x3 softcap 300 }",
  "two convolutions of scores, all other masks":
    "heads 2 mask causal window 40 documents lengths dtype f16 scores { softcap 400 conv 3x3 conv 2x5 pad_key left }",
  "mixes, a bias": "heads 4 kv_heads 2 mask causal bias dtype f16 scores { mix 2 mix 4 } weights { mix 4 }",
  "a mix before a convolution, a bias":
    "heads 3 mask causal bias dtype bf16 scores { mix 3 conv 4x5 } weights { conv 2x3 }",
  "all of the paper, documents":
    "heads 16 mask causal documents dtype f16 scores { conv 6x11 mix 16 } weights { conv 6x11 mix 16 }",
  "a mix between convolutions":
    "heads 4 mask causal dtype bf16 scores { conv 3x5 mix 2 conv 2x3 } weights { conv 2x3 mix 2 }",
  "all of the paper":
    "heads 16 mask causal dtype f16 scores { conv 6x11 mix 16 } weights { conv 6x11 mix 16 } output { norm gate }",
} as const;

const SHIFTED_SHAPE = { B: 1, Lq: 70, Lk: 90, R: 9 };

/** The cheapest plan of every lowering of a schedule. */
function cheapestPlans(pipeline: Pipeline, shape: CallShape, schedule: Schedule): readonly Plan[] {
  return ["tensor", "toeplitz", "folded"].flatMap((lowering) =>
    tensorPlans(pipeline, shape, schedule, { lowering })
      .slice(0, 1)
      .map((make) => make()),
  );
}

function run(plan: Plan, { parameters, inputs }: KnownCase) {
  return emulatedDevice().then((device) => runCudaPlan(device, plan, parameters, inputs));
}

describe.skipIf(nvcc === null)("logits with much in common, emulated", () => {
  // `staged` keeps final scores in f16, which has no room for such offsets.
  test.each(TENSOR)("%s on tensor cores: %f", async (spec, offset) => {
    const drawn = offsetCase(spec, "f16", offset);
    for (const schedule of ["single_pass", "two_pass"] as const) {
      const [make] = tensorPlans(drawn.pipeline, drawn.shape, schedule);
      if (make === undefined) continue;
      const result = await run(make(), drawn);
      expect(outsideTolerance(drawn.pipeline, result, drawn.expected), schedule).toBeNull();
    }
  });

  test("a score below f16 is no hidden pair: a row that sees one key is its value", async () => {
    const pipeline = pipelineOf("attention a { heads 2 head_dim 32 scale 1 mask causal dtype f16 }", "a");
    const shape = { B: 1, Lq: 4, Lk: 4, R: 0 };
    const drawn = drawInputs(pipeline, shape, false, 3);
    const inputs = roundInputs(
      {
        ...drawn,
        q: { ...drawn.q, data: drawn.q.data.fill(128) },
        k: { ...drawn.k, data: drawn.k.data.fill(-128) },
      },
      "f16",
    );
    const expected = referenceForward(pipeline, new Map(), inputs);
    for (const schedule of ["single_pass", "staged"] as const) {
      const [make] = tensorPlans(pipeline, shape, schedule);
      if (make === undefined) throw new RangeError(`no plan for ${schedule}`);
      const { o, lse } = await runCudaPlan(await emulatedDevice(), make(), new Map(), inputs);
      expect(relativeError(o, expected.o.data), schedule).toBeLessThan(FORWARD_TOLERANCE.f16);
      expect(lse?.every(Number.isFinite), schedule).toBe(true);
    }
  });

  test.each(TENSOR_SPECS)("%s on tensor cores: the lowest f32 at some keys", async (spec) => {
    const drawn = offsetCase(spec, "f16", LOWEST_F32, "third");
    for (const schedule of SCHEDULES) {
      const [make] = tensorPlans(drawn.pipeline, drawn.shape, schedule);
      if (make === undefined) continue;
      const { o } = await run(make(), drawn);
      // The log-sum-exp of rows that see nothing else is beyond the f16 of `staged`.
      expect(relativeError(o, drawn.expected.o.data), schedule).toBeLessThan(FORWARD_TOLERANCE.f16);
    }
  });

  test("a negative scale on tensor cores", async () => {
    const pipeline = pipelineOf(
      "attention a { heads 2 head_dim 32 scale (-0.5) mask causal dtype f16 }",
      "a",
    );
    const shape = { B: 1, Lq: 35, Lk: 35, R: 0 };
    const inputs = roundInputs(drawInputs(pipeline, shape, false, 3), "f16");
    const expected = referenceForward(pipeline, new Map(), inputs);
    for (const schedule of SCHEDULES) {
      const [make] = tensorPlans(pipeline, shape, schedule);
      if (make === undefined) continue;
      const result = await runCudaPlan(await emulatedDevice(), make(), new Map(), inputs);
      expect(outsideTolerance(pipeline, result, expected), schedule).toBeNull();
    }
  });

  // Of every kind a few, so that each spec meets each kind, both deviations, and offsets near and far, above and below.
  const shiftsOf = (pipeline: Pipeline): readonly Shift[] =>
    offsetKinds(pipeline).flatMap((kind, index) =>
      [1, 10].map((deviation, other) => ({
        kind,
        deviation,
        offset: [20, -250, 250, -63][(index + 2 * other) % 4] ?? 0,
      })),
    );

  test.each(Object.entries(SHIFTED))("%s: what all logits of a row have in common", async (_name, text) => {
    const pipeline = pipelineOf(`attention a { head_dim 16 ${text} }`, "a");
    const drawn = drawInputs(pipeline, SHIFTED_SHAPE, false, 5);
    const parameters = drawParameters(pipeline, 3);
    const plans = SCHEDULES.flatMap((schedule) => cheapestPlans(pipeline, SHIFTED_SHAPE, schedule));
    expect(plans.length).toBeGreaterThan(0);
    for (const shift of shiftsOf(pipeline)) {
      const inputs = shiftLogits(pipeline, drawn, shift);
      const expected = referenceForward(pipeline, parameters, inputs);
      for (const plan of plans) {
        const result = await runCudaPlan(await emulatedDevice(), plan, parameters, inputs);
        const what = `${plan.schedule} ${JSON.stringify(plan.knobs)} ${JSON.stringify(shift)}`;
        expect(outsideTolerance(pipeline, result, expected), what).toBeNull();
      }
    }
  });

  test("strips of rows whose highest scores are found first", async () => {
    const pipeline = pipelineOf(
      "attention a { heads 2 head_dim 8 mask documents lengths dtype f16 scores { conv 4x3 conv 1x9 } }",
      "a",
    );
    const drawn = drawInputs(pipeline, SHIFTED_SHAPE, false, 3);
    const inputs = shiftLogits(pipeline, drawn, { kind: "row", offset: 100, deviation: 1 });
    const parameters = drawParameters(pipeline, 3);
    const expected = referenceForward(pipeline, parameters, inputs);
    const [make] = tensorPlans(pipeline, SHIFTED_SHAPE, "staged", { options: { stripRows: 20 } });
    if (make === undefined) throw new RangeError("there is no plan");
    const result = await runCudaPlan(await emulatedDevice(), make(), parameters, inputs);
    expect(outsideTolerance(pipeline, result, expected)).toBeNull();
  });

  test.each(["f16", "bf16"])("%s: scores far beyond f16 stay finite", async (dtype) => {
    for (const text of [
      "scores { conv 3x3 }",
      "scores { conv 3x3 mix 2 }",
      "scores { mix 2 conv 3x3 } weights { conv 1x3 }",
    ]) {
      const pipeline = pipelineOf(
        `attention a { heads 2 head_dim 16 mask causal dtype ${dtype} ${text} }`,
        "a",
      );
      const shape = { B: 1, Lq: 40, Lk: 40, R: 0 };
      const drawn = drawInputs(pipeline, shape, false, 3);
      const parameters = drawParameters(pipeline, 3);
      for (const change of [(): number => 1000, (value: number): number => value * 300]) {
        const stretched = { ...drawn };
        for (const name of ["q", "k"] as const)
          stretched[name] = { ...drawn[name], data: drawn[name].data.map(change) };
        const inputs = roundInputs(stretched, pipeline.storage);
        for (const plan of SCHEDULES.flatMap((schedule) => cheapestPlans(pipeline, shape, schedule))) {
          const { o, lse } = await runCudaPlan(await emulatedDevice(), plan, parameters, inputs);
          expect([...o, ...(lse ?? [])].every(Number.isFinite), `${text} ${plan.schedule}`).toBe(true);
        }
      }
    }
  });
});
