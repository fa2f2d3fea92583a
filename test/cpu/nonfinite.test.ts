import { afterAll, describe, expect, test } from "vitest";
import type {
  AttentionInputs,
  CallShape,
  Float64Tensor,
  Pipeline,
  Plan,
} from "../../runtime/contract/index.ts";
import { roundTo } from "../../runtime/contract/index.ts";
import { referenceForward } from "../../runtime/reference/index.ts";
import { cpuPlanner } from "../suite/cpu.ts";
import { drawInputs, drawParameters } from "../support/draw.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { spoil } from "../support/spoil.ts";
import { openTestCpu, presentCpus, runCpuPlan, withThreads } from "./harness.ts";

// `semantics.md`, "Numbers": rows that NaN and infinities reach are NaN, all others are what they are without them, to the bit.

const SPECS = {
  plain: "attention a { heads 2 head_dim 16 mask causal }",
  odd: "attention a { heads 2 head_dim 5 value_dim 7 dtype f16 mask causal }",
  conv: "attention a { heads 2 head_dim 16 mask causal scores { conv 3x5 } }",
  ahead: "attention a { heads 2 head_dim 8 mask none scores { conv 3x5 pad_query both } }",
  left: "attention a { heads 2 head_dim 8 dtype bf16 mask causal scores { conv 1x7 pad_key left } }",
  weights: "attention a { heads 2 head_dim 16 mask causal weights { conv 2x5 } }",
  mixed:
    "attention a { heads 4 kv_heads 2 head_dim 8 mask causal window 9 scores { conv 2x3 mix 2 } weights { mix 2 } output { norm } }",
  sparse: "attention a { heads 2 head_dim 8 mask causal normalize sparsemax weights { conv 2x3 } }",
  documents:
    "attention a { heads 2 head_dim 8 mask causal documents scores { conv 3x3 } weights { conv 2x3 } }",
  lengths: "attention a { heads 2 head_dim 8 mask lengths scores { conv 3x3 } output { gate channel } }",
  bias: "attention a { heads 4 head_dim 8 mask causal bias scores { mix 2 } weights { mix 4 } }",
  biased: "attention a { heads 2 head_dim 8 dtype bf16 mask bias weights { conv 3x3 } }",
} as const;

/** With K packed beforehand, and without; blocks of keys before and behind the spoilt one. */
const SHAPES: readonly CallShape[] = [
  { B: 2, Lq: 75, Lk: 140, R: 3 },
  { B: 2, Lq: 9, Lk: 140, R: 3 },
];

const LIBRARIES = await presentCpus();

/** Of each row of the result, over batch entries and heads: whether all, some or none of its elements are finite. */
function kindsOf({ valueDim }: Pipeline, o: ArrayLike<number>): readonly ("finite" | "none" | "some")[] {
  return Array.from({ length: o.length / valueDim }, (_, row) => {
    const finite = Array.from({ length: valueDim }, (_element, n) => Number.isFinite(o[row * valueDim + n]));
    return finite.every((each) => each) ? "finite" : finite.some((each) => each) ? "some" : "none";
  });
}

/** What the reference makes of spoilt inputs: the same for every library. */
const references = new Map<string, ReturnType<typeof kindsOf>>();

function referenceKinds(
  key: string,
  pipeline: Pipeline,
  parameters: ReadonlyMap<string, Float64Tensor>,
  inputs: AttentionInputs<Float64Tensor>,
): ReturnType<typeof kindsOf> {
  const known =
    references.get(key) ?? kindsOf(pipeline, referenceForward(pipeline, parameters, inputs).o.data);
  references.set(key, known);
  return known;
}

describe.each(LIBRARIES)("%s", async (library) => {
  const device = await openTestCpu(library);
  const planner = cpuPlanner(device);
  afterAll(() => device.close());

  const planOf = (pipeline: Pipeline, shape: CallShape): Plan => {
    const found = planner.plans(pipeline, shape, "staged", { stripRows: 8 });
    if ("reason" in found) throw new Error(found.reason);
    return withThreads(found.plan(0), 2);
  };

  const cases = (Object.keys(SPECS) as (keyof typeof SPECS)[]).flatMap((spec) =>
    (["q", "k", "v"] as const).map((tensor) => [spec, tensor] as const),
  );
  test.each(cases)("%s: NaN and infinities in %s", async (name, tensor) => {
    const pipeline = pipelineOf(SPECS[name], "a");
    const parameters = drawParameters(pipeline, 3);
    for (const shape of SHAPES) {
      const inputs = drawInputs(pipeline, shape, false, 3);
      const plan = planOf(pipeline, shape);
      const { o: clean } = await runCpuPlan(device, plan, parameters, inputs);
      for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
        const row = tensor === "q" ? 4 : 100;
        const spoilt = spoil(inputs, tensor, row, value);
        const expected = referenceKinds(
          `${name} ${tensor} ${value} ${shape.Lq}`,
          pipeline,
          parameters,
          spoilt,
        );
        const { o } = await runCpuPlan(device, plan, parameters, spoilt);
        const wrong: string[] = [];
        for (const [index, kind] of kindsOf(pipeline, o).entries()) {
          const where = `row ${index} of ${JSON.stringify(shape)} with ${value}: ${kind}, reference ${expected[index]}`;
          if (kind === "some" || (kind === "finite") !== (expected[index] === "finite")) wrong.push(where);
          if (kind !== "finite") continue;
          const [from, to] = [index * pipeline.valueDim, (index + 1) * pipeline.valueDim];
          if (`${o.subarray(from, to)}` !== `${clean.subarray(from, to)}`)
            wrong.push(`row ${index} with ${value} is no longer what it is without`);
        }
        expect(wrong.slice(0, 5), `${wrong.length} rows`).toEqual([]);
      }
    }
  });

  test("values that no row sees may be anything", async () => {
    const pipeline = pipelineOf("attention a { heads 2 head_dim 8 mask lengths weights { conv 3x3 } }", "a");
    const shape = { B: 2, Lq: 40, Lk: 40, R: 0 };
    const parameters = drawParameters(pipeline, 3);
    const drawn = drawInputs(pipeline, shape, false, 3);
    const inputs = { ...drawn, lengths: { shape: [2], data: Float64Array.of(0, 17) } };
    const beyond = ({ shape: sizes, data }: Float64Tensor): Float64Tensor => {
      const [, heads = 1, keys = 1, channels = 1] = sizes;
      const filled = [0, 17];
      return {
        shape: sizes,
        data: roundTo(
          "f32",
          data.map((value, index) => {
            const key = Math.floor(index / channels) % keys;
            const batch = Math.floor(index / (channels * keys * heads));
            return key >= (filled[batch] ?? 0) ? Number.NaN : value;
          }),
        ),
      };
    };
    const plan = planOf(pipeline, shape);
    const clean = await runCpuPlan(device, plan, parameters, inputs);
    const dirty = await runCpuPlan(device, plan, parameters, {
      ...inputs,
      k: beyond(inputs.k),
      v: beyond(inputs.v),
    });
    expect(dirty.o).toEqual(clean.o);
    expect(dirty.lse).toEqual(clean.lse);
  });
});
