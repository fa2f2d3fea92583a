import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type AttentionInputs,
  type CallShape,
  type Float64Tensor,
  type Pipeline,
  type Plan,
  SCHEDULES,
} from "../../runtime/contract/index.ts";
import { download } from "../../runtime/index.ts";
import { referenceForward } from "../../runtime/reference/index.ts";
import { drawInputs, drawParameters } from "../support/draw.ts";
import { bestPlan, gpuMemory, launcherOf, legalSchedules, limitsOf, runPlan } from "../support/gpu.ts";
import { openTestDevice } from "../support/node-device.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { placeInputs, poisonedOutputs } from "../support/placed-call.ts";
import { clobbered } from "../support/placing.ts";
import { Random } from "../support/random.ts";
import { disagreement } from "../support/trial.ts";

// What must not change a result: another run, smaller dispatches, neighbours in memory, other batch entries, what lies
// beyond the filled part of a cache.

let device: GPUDevice;

beforeAll(async () => {
  device = await openTestDevice();
});

afterAll(() => device.destroy());

/** Convolutions without mixing: heads are independent of each other. */
const SEPARATE = `
  scores  { conv 3x5 }
  weights { conv 2x3 pad_key left }
  output  { norm; gate channel }`;

/** Everything that reads across heads as well; legal in one pass. */
const MIXED = "  scores { conv 2x5 across 2; mix 4; softcap 20 }\n  output { gate }";

function pipelineWith(lines: string, changes: Partial<Pipeline> = {}): Pipeline {
  const text = `attention case { heads 4; kv_heads 2; head_dim 8; ${lines.includes("mask") ? "" : "mask causal"}\n${lines}\n}\n`;
  return { ...pipelineOf(text, "case"), ...changes };
}

const PIPELINES: readonly (readonly [string, Pipeline])[] = [
  ["separate heads", pipelineWith(SEPARATE)],
  ["mixed heads", pipelineWith(MIXED)],
  ["sparsemax", pipelineWith(`  normalize sparsemax\n${SEPARATE}`)],
  ["bf16", pipelineWith(MIXED, { storage: "bf16" })],
];

const SHAPE: CallShape = { B: 3, Lq: 37, Lk: 45, R: 2 };

/**
 * The best plan of every schedule that is legal; for pipelines so small that each of them fits. Fused ones with dispatches of so many
 * multiply-adds, where that is given.
 */
function plansOf(pipeline: Pipeline, shape: CallShape, dispatchBudget?: number): Plan[] {
  return legalSchedules(pipeline).map((schedule) => {
    const cut = dispatchBudget !== undefined && schedule !== "staged";
    const found = bestPlan(pipeline, limitsOf(device), shape, schedule, cut ? { dispatchBudget } : {});
    if ("reason" in found) throw new Error(`${schedule}: ${found.reason}`);
    return found.plan;
  });
}

test("a write beside an output is seen", async () => {
  const memory = gpuMemory(device);
  const outputs = poisonedOutputs(memory, pipelineWith(MIXED), SHAPE, 4, new Random(3));
  const bytes = await memory.bytes(outputs.o);
  expect(clobbered(bytes, outputs.o)).toBe(0);
  expect(clobbered(new ArrayBuffer(bytes.byteLength), outputs.o)).toBeGreaterThan(0);
});

test("the cases cover all schedules", () => {
  const covered = new Set(PIPELINES.flatMap(([, pipeline]) => legalSchedules(pipeline)));
  expect([...covered].sort()).toEqual([...SCHEDULES].sort());
});

describe.each(PIPELINES)("%s", (_name, pipeline) => {
  const parameters = drawParameters(pipeline, 11);
  const inputs = drawInputs(pipeline, SHAPE, false, 12);

  test("the same inputs give the same bits, run after run", async () => {
    for (const plan of plansOf(pipeline, SHAPE)) {
      const first = await runPlan(device, plan, parameters, inputs);
      for (let run = 0; run < 4; run += 1) {
        const again = await runPlan(device, plan, parameters, inputs);
        expect(again.o, plan.schedule).toEqual(first.o);
        expect(again.lse, plan.schedule).toEqual(first.lse);
      }
    }
  });

  test("small dispatches and small submissions give the same bits", async () => {
    const cut = plansOf(pipeline, SHAPE, 1);
    for (const [index, plan] of plansOf(pipeline, SHAPE).entries()) {
      const whole = await runPlan(device, plan, parameters, inputs);
      const small = cut[index] ?? plan;
      expect(small.knobs).toEqual(plan.knobs);
      const pieces = await runPlan(device, small, parameters, inputs, { submissionBudget: 1 });
      if (plan.schedule !== "staged") {
        expect(pieces.statistics.kernels).toBeGreaterThan(whole.statistics.kernels);
      }
      expect(pieces.o, plan.schedule).toEqual(whole.o);
      expect(pieces.lse, plan.schedule).toEqual(whole.lse);
    }
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY])("%f in one batch entry stays there", async (value) => {
    for (const plan of plansOf(pipeline, SHAPE)) {
      const clean = await runPlan(device, plan, parameters, inputs);
      const dirty = await runPlan(device, plan, parameters, {
        ...inputs,
        q: spoilt(inputs.q, value, 1),
        k: spoilt(inputs.k, value, 1),
        v: spoilt(inputs.v, value, 1),
      });
      const entry = clean.o.length / SHAPE.B;
      expect(dirty.o.slice(0, entry), plan.schedule).toEqual(clean.o.slice(0, entry));
      expect(dirty.o.slice(2 * entry), plan.schedule).toEqual(clean.o.slice(2 * entry));
      expect(dirty.o.slice(entry, 2 * entry), plan.schedule).not.toEqual(clean.o.slice(entry, 2 * entry));
    }
  });
});

/** A copy with `value` in every third element of one batch entry. */
function spoilt({ shape, data }: Float64Tensor, value: number, batch: number): Float64Tensor {
  const entry = data.length / (shape[0] ?? 1);
  const changed = data.map((element, index) =>
    Math.floor(index / entry) === batch && index % 3 === 0 ? value : element,
  );
  return { shape, data: changed };
}

// Random cases are short: here rows take several tiles and strips, and sparsemax several rounds.
test.each(PIPELINES)("long rows: %s", async (_name, pipeline) => {
  const shape = { B: 1, Lq: 150, Lk: 203, R: 4 };
  const parameters = drawParameters(pipeline, 51);
  const inputs = drawInputs(pipeline, shape, false, 52);
  const expected = referenceForward(pipeline, parameters, inputs);
  for (const plan of plansOf(pipeline, shape)) {
    const result = await runPlan(device, plan, parameters, inputs, { scatter: new Random(53) });
    expect(disagreement(pipeline, result, expected), plan.schedule).toBeNull();
  }
});

test("NaN in one head's queries stays in its group of heads", async () => {
  const pipeline = pipelineWith(SEPARATE);
  const parameters = drawParameters(pipeline, 21);
  const inputs = drawInputs(pipeline, { ...SHAPE, B: 1 }, false, 22);
  const perHead = inputs.q.data.length / 4;
  const q = {
    ...inputs.q,
    data: inputs.q.data.map((value, index) => (index < perHead ? Number.NaN : value)),
  };
  for (const plan of plansOf(pipeline, { ...SHAPE, B: 1 })) {
    const clean = await runPlan(device, plan, parameters, inputs);
    const dirty = await runPlan(device, plan, parameters, { ...inputs, q });
    const head = clean.o.length / 4;
    expect(dirty.o.slice(head), plan.schedule).toEqual(clean.o.slice(head));
  }
});

/** One element of one tensor replaced, in batch entry 0, head 0. */
function spoiltRow({ shape, data }: Float64Tensor, row: number, value: number): Float64Tensor {
  const changed = Float64Array.from(data);
  changed[row * (shape[3] ?? 1) + 1] = value;
  return { shape, data: changed };
}

const HIDING: readonly (readonly [string, string])[] = [
  ["causal", "mask causal"],
  ["a window", "mask causal window 9"],
  ["documents", "mask causal documents"],
  ["a bias", "mask causal bias"],
  ["convolutions", "mask causal\n  scores { conv 3x5 }\n  weights { conv 2x3 pad_key left }"],
];

test.each(
  HIDING.flatMap(([name, lines]) =>
    (["f32", "f16", "bf16"] as const).flatMap((storage) =>
      (["q", "k", "v"] as const).map((tensor) => [name, storage, tensor, lines] as const),
    ),
  ),
)("hidden by %s, %s: NaN and infinities in %s reach no row that does not see them", async (...each) => {
  const [, storage, tensor, lines] = each;
  const pipeline = pipelineWith(lines, { storage });
  const shape = { B: 1, Lq: 37, Lk: 37, R: 0 };
  const parameters = drawParameters(pipeline, 61);
  const inputs = drawInputs(pipeline, shape, false, 62);
  // With shader-f16 and, as where a browser lacks it, with packed halves.
  const limits = limitsOf(device);
  for (const features of storage === "f16" ? [limits.features, []] : [limits.features]) {
    for (const schedule of legalSchedules(pipeline)) {
      const found = bestPlan(pipeline, { ...limits, features }, shape, schedule);
      if ("reason" in found) throw new Error(`${schedule}: ${found.reason}`);
      const clean = await runPlan(device, found.plan, parameters, inputs);
      for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
        const spoilt = { ...inputs, [tensor]: spoiltRow(inputs[tensor], 20, value) };
        const expected = referenceForward(pipeline, parameters, spoilt).o.data;
        const { o } = await runPlan(device, found.plan, parameters, spoilt);
        const kept = (_: number, index: number): boolean => Number.isFinite(expected[index]);
        expect(expected.every(Number.isFinite)).toBe(false);
        expect(o.filter(kept), `${schedule}, ${value}`).toEqual(clean.o.filter(kept));
        // What is reached is at least no plausible number: f16's largest would be one.
        expect(o.some((element) => Math.abs(element) === 65504)).toBe(false);
      }
    }
  }
});

/** A cache with capacity for Lk keys: entry b holds `filled[b]` of them, its rows are the last ones. */
function raggedInputs(
  pipeline: Pipeline,
  filled: readonly number[],
  beyond: number,
): { inputs: AttentionInputs<Float64Tensor>; shape: CallShape } {
  const shape = { B: filled.length, Lq: 3, Lk: 61, R: 0 };
  const drawn = drawInputs(pipeline, shape, true, 31);
  const cut = ({ shape: sizes, data }: Float64Tensor): Float64Tensor => {
    const [, heads = 1, keys = 1, width = 1] = sizes;
    const values = data.map((value, index) => {
      const key = Math.floor(index / width) % keys;
      const batch = Math.floor(index / (width * keys * heads));
      return key < (filled[batch] ?? 0) ? value : beyond;
    });
    return { shape: sizes, data: values };
  };
  const vector = (values: readonly number[]): Float64Tensor => ({
    shape: [values.length],
    data: Float64Array.from(values),
  });
  const inputs = {
    ...drawn,
    k: cut(drawn.k),
    v: cut(drawn.v),
    positions: vector(filled.map((length) => length - shape.Lq)),
    lengths: vector(filled),
  };
  return { inputs, shape };
}

test.each([
  ["separate heads", SEPARATE],
  ["mixed heads", MIXED],
  ["sparsemax", `  normalize sparsemax\n${SEPARATE}`],
])("NaN beyond the filled part of a ragged cache is never read: %s", async (_name, lines) => {
  for (const storage of ["f32", "f16"] as const) {
    const pipeline = pipelineWith(lines.concat("\n  mask causal lengths"), { storage });
    const parameters = drawParameters(pipeline, 32);
    const filled = [13, 61, 3, 40];
    const { inputs, shape } = raggedInputs(pipeline, filled, Number.NaN);
    const expected = referenceForward(pipeline, parameters, raggedInputs(pipeline, filled, 0).inputs);
    for (const plan of plansOf(pipeline, shape)) {
      const result = await runPlan(device, plan, parameters, inputs);
      expect(disagreement(pipeline, result, expected), plan.schedule).toBeNull();
    }
  }
});

// Rows of an odd number of 16-bit values share 32-bit words with the next row, which another workgroup may write.
test.each([
  ["f16", 5, "contiguous"],
  ["bf16", 7, "contiguous"],
  ["f16", 13, "scattered"],
  ["bf16", 1, "scattered"],
] as const)(
  "%s rows of %i values, %s: no race and nothing beside them is written",
  async (storage, valueDim, layout) => {
    const lines = `  value_dim ${valueDim}\n${SEPARATE}`;
    const pipelines = [
      pipelineWith(lines, { storage }),
      pipelineWith(`  value_dim ${valueDim}\n${MIXED}`, { storage }),
    ];
    for (const pipeline of pipelines) {
      const parameters = drawParameters(pipeline, 41);
      const inputs = drawInputs(pipeline, SHAPE, false, 42);
      const expected = referenceForward(pipeline, parameters, inputs);
      const memory = gpuMemory(device);
      for (const plan of plansOf(pipeline, SHAPE, 1 << 12)) {
        const launcher = await launcherOf(device, plan, parameters);
        const call = placeInputs(memory, plan, inputs);
        let first: unknown = null;
        for (let run = 0; run < 6; run += 1) {
          const scatter = layout === "scattered" ? new Random(valueDim) : null;
          const outputs = poisonedOutputs(memory, pipeline, SHAPE, plan.alignment.o, scatter);
          const { lse } = await launcher.forward(call.inputs, outputs);
          const o = Float32Array.from(await download(device, outputs.o));
          const words = await memory.bytes(outputs.o);
          const result = { o, lse: lse === null ? null : Float32Array.from(await download(device, lse)) };
          expect(disagreement(pipeline, result, expected), plan.schedule).toBeNull();
          first ??= words;
          expect(words, plan.schedule).toEqual(first);
          if (layout === "scattered") expect(clobbered(words, outputs.o), plan.schedule).toBe(0);
          memory.free(outputs.o);
          memory.free(outputs.lse);
        }
        call.destroy();
        launcher.destroy();
      }
    }
  },
);
