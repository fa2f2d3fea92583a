import { describe, expect, test } from "vitest";
import { emitKernels } from "../../compiler/emit/index.ts";
import { stableJson } from "../../compiler/ir/meaning.ts";
import {
  CUDA_ARCHITECTURES,
  cudaMachine,
  planCandidates,
  WEBGPU_COMMON_LIMITS,
  webgpuMachine,
} from "../../compiler/plan/index.ts";
import { readTuningExport } from "../../compiler/tune/export.ts";
import { bucketOf, sourceHash, specHash } from "../../compiler/tune/record.ts";
import {
  type CallShape,
  MtacError,
  type Pipeline,
  type Plan,
  type Target,
} from "../../runtime/contract/index.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { KEY, measured } from "./records.ts";

const BODY = "heads 4 head_dim 32 scores { conv 3x5 mix 2 } output { norm gate }";
const plain = pipelineOf(`attention plain { ${BODY} }`, "plain", "plain.mta");
const renamed = pipelineOf(`\n\nattention mta_other\n{\n\n${BODY} }`, "mta_other", "other.mta");

test("the text of a value does not depend on the order of its keys", () => {
  expect(stableJson({ b: [1, { d: 2, c: undefined }], a: "x" })).toBe('{"a":"x","b":[1,{"d":2}]}');
  expect(stableJson({ a: "x", b: [1, { d: 2 }] })).toBe('{"a":"x","b":[1,{"d":2}]}');
  expect(stableJson([2, 1])).not.toBe(stableJson([1, 2]));
});

test.each([
  [
    { B: 1, Lq: 1000, Lk: 1024, R: 0 },
    { B: 1, Lq: 1024, Lk: 1024, R: 0 },
  ],
  [
    { B: 3, Lq: 1, Lk: 724, R: 1 },
    { B: 4, Lq: 1, Lk: 512, R: 1 },
  ],
  [
    { B: 5, Lq: 6, Lk: 725, R: 11 },
    { B: 4, Lq: 8, Lk: 1024, R: 8 },
  ],
])("the bucket of %j is %j", (shape, bucket) => {
  expect(bucketOf(shape)).toEqual(bucket);
});

describe("the hash of a spec", () => {
  test("is that of what it computes", () => {
    expect(specHash(renamed)).toBe(specHash(plain));
    expect(specHash(plain)).toMatch(/^[0-9a-f]{64}$/);
    const { heads, ...others } = plain;
    expect(specHash({ ...others, heads }), "whatever the order of its keys").toBe(specHash(plain));
  });

  test.each([
    BODY.replace("3x5", "3x7"),
    BODY.replace("mix 2", "mix 4"),
    BODY.replace("norm gate", "gate norm"),
    `${BODY} dtype f16`,
    `${BODY} scale 0.5`,
    `${BODY} mask none`,
    `${BODY} normalize sparsemax`,
  ])("differs for %s", (body) => {
    expect(specHash(pipelineOf(`attention plain { ${body} }`, "plain"))).not.toBe(specHash(plain));
  });
});

describe.each(["webgpu", "cuda"] as const)("the hash of a plan for %s", (target) => {
  test("does not depend on the attention's name, its place, or the shape that it was planned for", () => {
    const [one, other] = [firstPlan(plain, target), firstPlan(renamed, target)];
    expect(Object.values(texts(one)).join()).not.toBe(Object.values(texts(other)).join());
    expect(hash(other)).toBe(hash(one));
    expect(hash({ ...one, cost: { ...one.cost, time: 1 }, nominal: { B: 2, Lq: 1, Lk: 1, R: 0 } })).toBe(
      hash(one),
    );
  });

  test("differs between candidates", () => {
    const plans = candidates(plain, target).slice(0, 40);
    expect(plans.length).toBeGreaterThan(3);
    expect(new Set(plans.map(hash)).size).toBe(plans.length);
  });

  test("differs where the kernels' text or the plan's arithmetic does", () => {
    const plan = firstPlan(plain, target);
    const changed = Object.fromEntries(
      Object.entries(texts(plan)).map(([file, text]) => [file, `${text}\nconst int more = 1;\n`]),
    );
    expect(sourceHash(plan, changed)).not.toBe(hash(plan));
    expect(hash({ ...plan, steps: plan.steps.slice(1) })).not.toBe(hash(plan));
    expect(() => sourceHash(plan, {})).toThrow(RangeError);
  });
});

function hash(plan: Plan): string {
  return sourceHash(plan, texts(plan));
}

function texts(plan: Plan): Readonly<Record<string, string>> {
  return plan.target === "cuda" ? emitKernels(plan) : emitKernels(plan);
}

function firstPlan(pipeline: Pipeline, target: Target): Plan {
  const [plan] = candidates(pipeline, target);
  if (plan === undefined) throw new Error("no plan");
  return plan;
}

function candidates(pipeline: Pipeline, target: Target): readonly Plan[] {
  const shape: CallShape = { B: 1, Lq: 256, Lk: 256, R: 0 };
  const architecture = CUDA_ARCHITECTURES.find(({ name }) => name === "sm_80");
  if (architecture === undefined) throw new Error("no sm_80");
  const machine = target === "cuda" ? cudaMachine(architecture) : webgpuMachine(WEBGPU_COMMON_LIMITS);
  return planCandidates(pipeline, { machine, shape }).flatMap(({ plan }) => plan ?? []);
}

describe("a file of exported results", () => {
  const { candidate, shape, median, unit } = measured();
  const good = { format: 1, mtac: KEY.mtac, entries: [{ key: KEY, candidate, shape, median, unit }] };

  test("is read as it was written", () => {
    expect(readTuningExport(JSON.parse(JSON.stringify(good)), "tuned.json")).toEqual(good);
  });

  test.each([
    ["the file is no object", []],
    ["its format is not that of this version of mtac", { ...good, format: 2 }],
    ["mtac is no text", { ...good, mtac: 1 }],
    ["entries is no list", { ...good, entries: {} }],
    ["entry 1: it is no object", { ...good, entries: [null] }],
    ["entry 1: its version of mtac is not the file's", { ...good, mtac: "1.2.4" }],
    [
      "entry 2: key is no object",
      { ...good, entries: [good.entries[0], { candidate, shape, median, unit }] },
    ],
    [
      "entry 1: target is none of webgpu, cuda, cpu, cuda-emulated",
      entryWith({ key: { ...KEY, target: "metal" } }),
    ],
    [
      "entry 1: Lq is no whole number from 1",
      entryWith({ key: { ...KEY, bucket: { ...KEY.bucket, Lq: 0 } } }),
    ],
    ["entry 1: storage is none of", entryWith({ key: { ...KEY, storage: "f64" } })],
    ["entry 1: schedule is none of", entryWith({ candidate: { ...candidate, schedule: "fast" } })],
    [
      "entry 1: the knob a is neither a number nor a name",
      entryWith({ candidate: { ...candidate, knobs: { a: [] } } }),
    ],
    ["entry 1: median is no duration", entryWith({ median: -1 })],
    ["entry 1: unit is none of ns, cycles", entryWith({ unit: "s" })],
  ])("is refused: %s", (message, value) => {
    const read = (): unknown => readTuningExport(value, "tuned.json");
    expect(read).toThrow(MtacError);
    expect(read).toThrow(
      expect.objectContaining({
        code: "MTA874",
        message: expect.stringContaining(`tuned.json holds no tuning results: ${message}`),
      }),
    );
  });

  function entryWith(changes: object): object {
    return { ...good, entries: [{ ...good.entries[0], ...changes }] };
  }
});
