import * as fc from "fast-check";
import { expect, test } from "vitest";
import { TOLERANCES } from "../../compiler/execution/comparison.ts";
import {
  type AttentionInputs,
  type Float64Tensor,
  hasMask,
  type Pipeline,
  roundTo,
  type StorageType,
} from "../../runtime/contract/index.ts";
import { type ReferenceGradients, referenceGradients } from "../../runtime/reference/index.ts";
import { type CaseOptions, randomCase } from "./arbitrary.ts";
import { sparsemaxMargin } from "./conditioning.ts";
import { drawInputs, drawParameters } from "./draw.ts";
import { GRADIENT_CASES, type GradientCase } from "./gradient-cases.ts";
import { pipelineOf } from "./pipelines.ts";
import { Random } from "./random.ts";
import { callShapeOf, roundInputs } from "./rounded.ts";
import { runsOf, SEED } from "./seed.ts";
import { allVectors, callOf, caseNames, loadCase, OWN_VECTORS } from "./vectors.ts";

// Backward passes against the official vectors and the float64 reference, whatever computes them.

const { MTAC_ALL_VECTORS } = process.env;

/**
 * Of all gradients' size: one that is a small rest of large terms is as exact as f32 is for these. Random attentions may have rows that see
 * one key before a norm, whose weights' gradients are 0 in exact arithmetic.
 */
export const FLOOR = { vectors: 0.1, random: 1 } as const;

/** What a vector's logits cost of accuracy. */
function factorOf(name: string): number {
  return /^(29|30|31)_/.test(name) ? 10 : 1;
}

/** Vectors whose gradients no 16-bit type holds: one row, whose few sums cancel before a norm. */
const ILL_CONDITIONED = /^17_/;

/** What 16-bit types cost those of which a sum cancels: the bias of a gate, or weights where rows are nearly nothing before a norm. */
function roundedFactorOf(name: string): number {
  return /^(10|11|19|20)_/.test(name) ? 10 : factorOf(name);
}

/** What gradients are compared with. */
interface Bounds {
  /** How far off they may be, of their size. */
  readonly bound: number;
  readonly floor: number;
}

/** A call whose gradients are asked for. */
export interface GradientTrial {
  readonly pipeline: Pipeline;
  readonly parameters: ReadonlyMap<string, Float64Tensor>;
  readonly inputs: AttentionInputs<Float64Tensor>;
  readonly dO: Float64Tensor;
  /** Whether the forward pass keeps nothing of what it computes: the backward pass computes all of it again. */
  readonly forgets?: boolean;
}

function norm(data: Iterable<number>): number {
  let sum = 0;
  for (const value of data) sum += value * value;
  return Math.sqrt(sum);
}

/** The gradients by their names in files. */
export function named(gradients: ReferenceGradients): Map<string, ArrayLike<number> & Iterable<number>> {
  const { dQ, dQHistory, dK, dV, dBias, parameters } = gradients;
  const tensors = new Map<string, Float64Array>([
    ["d_q", dQ.data],
    ["d_k", dK.data],
    ["d_v", dV.data],
  ]);
  if (dQHistory !== null) tensors.set("d_q_history", dQHistory.data);
  if (dBias !== null) tensors.set("d_bias", dBias.data);
  for (const [name, { data }] of parameters) tensors.set(`d_${name}`, data);
  return tensors;
}

/** Gradients by their names in files. */
export type Gradients = ReadonlyMap<string, ArrayLike<number>>;

/** What is wrong with gradients, or null. */
export function problem(
  found: ReadonlyMap<string, ArrayLike<number>>,
  expected: ReadonlyMap<string, ArrayLike<number> & Iterable<number>>,
  { bound, floor }: Bounds,
): string | null {
  const all = norm([...expected.values()].map(norm));
  for (const [name, reference] of expected) {
    const values = found.get(name);
    if (values?.length !== reference.length) return `${name} is missing, or has another size`;
    const difference = norm(Array.from(values, (value, index) => value - (reference[index] ?? 0)));
    const size = Math.max(norm(reference), floor * all);
    if (difference > bound * size || Number.isNaN(difference)) return `${name}: ${difference / size}`;
  }
  return null;
}

/** d_o as it is stored. */
export function drawGradient(
  pipeline: Pipeline,
  inputs: AttentionInputs<Float64Tensor>,
  seed: number,
  size: number,
): Float64Tensor {
  const { B, Lq } = callShapeOf(inputs);
  const random = new Random(seed);
  const shape = [B, pipeline.heads, Lq, pipeline.valueDim];
  const data = Float64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.normal() * size);
  return roundInputs({ q: { shape, data }, k: { shape, data }, v: { shape, data } }, pipeline.storage).q;
}

/**
 * Describes the tests against vectors and reference.
 *
 * @param ways How each vector is computed, for example in strips of which height.
 * @param low How small calls are computed: in strips that are lower than what is read around them.
 * @param draw How a random attention is.
 * @param runs How many random attentions, before MTAC_RUNS.
 * @param everyVector Whether all official vectors are computed where they are at hand, not only the project's own: MTAC_ALL_VECTORS asks for them.
 * @param vectors Which of them.
 * @param isolates How NaN is computed, where it reaches what it must and nothing else.
 * @param rounded Storage types to which factors are rounded where they are multiplied: their tolerance is that of the type. Else gradients are f32
 *   whatever the storage, and so is their bound; vectors are then computed in f32 only.
 * @param reaches False where it need not reach anything: WGSL leaves open what comes of it.
 */
export function describeGradientChecks<Way extends object | number | string>(
  ways: readonly Way[],
  low: Way,
  draw: (seed: number) => Way,
  compute: (trial: GradientTrial, way: Way) => Promise<Gradients>,
  {
    runs,
    everyVector = false,
    vectors = () => true,
    isolates,
    rounded = [],
    reaches = true,
  }: {
    readonly runs: number;
    readonly everyVector?: boolean;
    readonly vectors?: (name: string) => boolean;
    readonly isolates?: Way;
    readonly rounded?: readonly StorageType[];
    readonly reaches?: boolean;
  },
): void {
  const boundOf = (storage: StorageType): number =>
    TOLERANCES[rounded.includes(storage) ? storage : "f32"].gradients;
  const all = everyVector || MTAC_ALL_VECTORS !== undefined ? allVectors() : null;
  const folder = all ?? OWN_VECTORS;
  test.each(caseNames(folder).filter(vectors))("official vector %s", async (name) => {
    const vector = loadCase(folder, name);
    const pipeline: Pipeline = { ...pipelineOf(vector.spec, vector.attention), storage: "f32" };
    const { inputs, parameters, dO } = callOf(pipeline, vector);
    const trial = { pipeline, inputs, parameters, dO };
    const expected = new Map(
      [...vector.expected].flatMap(([tensor, { data }]) =>
        tensor.startsWith("d_") ? [[tensor, data] as const] : [],
      ),
    );
    const bound = boundOf("f32") * factorOf(name);
    for (const way of ways) {
      const found = await compute(trial, way);
      const wrong = problem(found, expected, { bound, floor: FLOOR.vectors });
      expect(wrong, JSON.stringify(way)).toBeNull();
    }
  });

  // Each vector in one of the types, in turns: their kernels differ in how they round, and scale.
  const inTurn = caseNames(folder)
    .filter((name) => vectors(name) && !ILL_CONDITIONED.test(name))
    .flatMap((name, index) => {
      const storage = rounded[index % rounded.length];
      return storage === undefined ? [] : [{ name, storage }];
    });
  test.each(inTurn)("official vector $name in $storage", async ({ name, storage }) => {
    const vector = loadCase(folder, name);
    const pipeline: Pipeline = { ...pipelineOf(vector.spec, vector.attention), storage };
    const { parameters, ...call } = callOf(pipeline, vector);
    const inputs = roundInputs(call.inputs, storage);
    const dO = { ...call.dO, data: roundTo(storage, call.dO.data) };
    const expected = named(referenceGradients(pipeline, parameters, inputs, dO));
    const bound = boundOf(storage) * roundedFactorOf(name);
    for (const way of ways) {
      const found = await compute({ pipeline, inputs, parameters, dO }, way);
      expect(problem(found, expected, { bound, floor: FLOOR.vectors }), JSON.stringify(way)).toBeNull();
    }
  });

  test.each(GRADIENT_CASES)("$name", async (asked) => {
    const trial = trialOfCase(asked);
    const { pipeline, parameters, inputs, dO } = trial;
    const expected = named(referenceGradients(pipeline, parameters, inputs, dO));
    const found = await compute(trial, low);
    const bound = boundOf(pipeline.storage);
    expect(problem(found, expected, { bound, floor: FLOOR.vectors })).toBeNull();
  });

  // Of any sizes, and of those whose rows tensor cores take.
  const drawnFrom: readonly (readonly [name: string, options: CaseOptions, runs: number])[] = [
    ["random attentions", {}, runs],
    ...(rounded.length === 0
      ? []
      : [["random attentions in 16 bits", { dimStep: 8, storages: rounded }, runs] as const]),
  ];
  test.each(drawnFrom)(
    `%s, any strip, any size of d_o (seed ${SEED})`,
    async (_name, options, count) => {
      const check = fc.asyncProperty(randomCase(options), async (drawn) => {
        fc.pre(sparsemaxMargin(drawn) > 1e-3);
        const { pipeline, parameters, seed } = drawn;
        const inputs = roundInputs(drawn.inputs, pipeline.storage);
        const sizes = pipeline.storage === "f16" ? [1e-3, 1, 1e3] : [1e-8, 1, 1e4];
        const size = sizes[Math.abs(seed) % 3] ?? 1;
        const dO = drawGradient(pipeline, inputs, seed, size);
        const trial = { pipeline, parameters, inputs, dO, forgets: Math.abs(seed) % 4 === 0 };
        const expected = named(referenceGradients(pipeline, parameters, inputs, dO));
        const found = await compute(trial, draw(Math.abs(seed)));
        const bound = boundOf(pipeline.storage);
        expect(problem(found, expected, { bound, floor: FLOOR.random })).toBeNull();
      });
      await fc.assert(check, { seed: SEED, numRuns: runsOf(count), endOnFailure: true });
    },
    300_000 * Math.max(1, runsOf(1)),
  );

  const [way] = ways;
  if (way !== undefined)
    test.each(BIASED)(
      "the gradient of a bias [$batches, $heads, …] for $mask, normalised by $normalize",
      async (biased) => {
        const { trial, expected } = withBias(biased);
        const found = await compute(trial, way);
        expect(problem(found, expected, { bound: boundOf("f32"), floor: 0 })).toBeNull();
        const bias = trial.inputs.bias?.data ?? [];
        const gradient = found.get("d_bias") ?? [];
        expect(gradient.length).toBe(bias.length);
        expect([...bias].flatMap((value, at) => (value === -Infinity ? [gradient[at]] : []))).toSatisfy(
          (hidden: readonly number[]) => hidden.length > 0 && hidden.every((value) => value === 0),
        );
      },
    );

  if (isolates !== undefined)
    test.each(
      (["f32", ...rounded.slice(0, 1)] as const).flatMap((storage) =>
        SPOILT.map((where) => ({ ...where, storage })),
      ),
    )(
      `$stages, $storage: NaN in row $row of $tensor reaches ${reaches ? "what" : "nothing but what"} the reference says`,
      async (where) => {
        const { trial, expected } = spoilt(where);
        const exact = where.storage === "f32";
        const found = await compute(trial, isolates);
        for (const [name, reference] of expected) {
          const values = Array.from(found.get(name) ?? []);
          // What is rounded to 16 bits is as exact as the whole tensor's entries ask for.
          const sizes = Array.from(reference, Math.abs);
          const largest = sizes.reduce((most, size) => (size > most ? size : most), 0);
          const wrong = values.flatMap((value, index) => {
            const wanted = reference[index] ?? 0;
            const most = exact ? 1e-3 : Math.max(2e-2 * Math.max(1, Math.abs(wanted)), 5e-3 * largest);
            const same = Number.isFinite(wanted)
              ? Math.abs(value - wanted) <= most
              : !reaches || !Number.isFinite(value);
            return same ? [] : [`${index}: ${value}, not ${wanted}`];
          });
          expect(wrong, name).toEqual([]);
        }
      },
    );
}

const CASE_SHAPE = { B: 2, Lq: 14, Lk: 23 } as const;

/** The call of a case. Where a bias may hide keys it hides other ones from each head, where lengths may, all of the second entry. */
function trialOfCase({
  spec,
  heads,
  kvHeads,
  R = 0,
  positions = false,
  forgets = false,
}: GradientCase): GradientTrial {
  const source = `attention a { heads ${heads} kv_heads ${kvHeads} head_dim 5 value_dim 6 ${spec} }`;
  const pipeline = pipelineOf(source, "a");
  const shape = { ...CASE_SHAPE, R };
  const drawn = { ...drawInputs(pipeline, shape, positions, 11), layer: 3 };
  const { B, Lq, Lk } = shape;
  const random = new Random(14);
  const entries = B * heads * (R + Lq) * Lk;
  const bias = Float64Array.from({ length: entries }, () =>
    random.chance(0.3) ? Number.NEGATIVE_INFINITY : random.normal(),
  );
  const inputs = {
    ...drawn,
    ...(hasMask(pipeline, "lengths") ? { lengths: { shape: [B], data: Float64Array.of(17, 0) } } : {}),
    ...(hasMask(pipeline, "bias")
      ? { bias: { shape: [B, heads, R + Lq, Lk], data: roundTo("f32", bias) } }
      : {}),
  };
  const dO = drawGradient(pipeline, inputs, 13, 1);
  return { pipeline, parameters: drawParameters(pipeline, 12), inputs, dO, forgets };
}

/** Biases that all have, or each one, and what passes back to them: through stages before and after, from rows of history, too. */
const BIASED = [
  { batches: 1, heads: 4, mask: "causal window 9 bias", normalize: "sparsemax" },
  { batches: 3, heads: 1, mask: "lengths bias", normalize: "softmax" },
] as const;

function withBias({ batches, heads, mask, normalize }: (typeof BIASED)[number]): {
  readonly trial: GradientTrial;
  readonly expected: ReturnType<typeof named>;
} {
  const stages = "scores { conv 2x3 mix 2 softcap 4 } weights { conv 3x3 }";
  const pipeline = pipelineOf(
    `attention a { heads 4 kv_heads 2 head_dim 6 mask ${mask} normalize ${normalize} ${stages} output { norm } }`,
    "a",
  );
  const drawn = drawInputs(pipeline, { B: 3, Lq: 16, Lk: 21, R: 4 }, false, 6);
  const random = new Random(9);
  const shape = [batches, heads, 20, 21];
  const data = Float64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () =>
    random.chance(0.15) ? Number.NEGATIVE_INFINITY : Math.fround(random.normal()),
  );
  const inputs = { ...drawn, bias: { shape, data } };
  const parameters = drawParameters(pipeline, 3);
  const trial = { pipeline, parameters, inputs, dO: drawGradient(pipeline, inputs, 5, 1) };
  return { trial, expected: named(referenceGradients(pipeline, parameters, inputs, trial.dO)) };
}

/** With stages, which mask again what passes back, and without. */
const MASKED = {
  staged: "mask causal lengths scores { conv 3x5 mix 2 } weights { conv 2x3 } output { norm }",
  plain: "mask causal lengths",
} as const;

/** Row 45 is padding in both entries; of the four rows that kernels take at a time some see key 22, others do not. */
const SPOILT = (["staged", "plain"] as const).flatMap((stages) =>
  (
    [
      ["k", 45],
      ["v", 45],
      ["k", 22],
      ["v", 22],
      ["q", 20],
    ] as const
  ).map(([tensor, row]) => ({ stages, tensor, row })),
);

function spoilt({
  stages,
  tensor,
  row,
  storage,
}: (typeof SPOILT)[number] & { readonly storage: StorageType }): {
  readonly trial: GradientTrial;
  readonly expected: ReturnType<typeof named>;
} {
  // Tensor cores take rows of whole 16-byte units.
  const size = `dtype ${storage} head_dim ${storage === "f32" ? 12 : 16}`;
  const pipeline = pipelineOf(`attention a { heads 4 kv_heads 2 ${size} ${MASKED[stages]} }`, "a");
  const parameters = drawParameters(pipeline, 3);
  const drawn = drawInputs(pipeline, { B: 2, Lq: 50, Lk: 50, R: 0 }, false, 4);
  const clean = roundInputs(drawn, storage);
  const { shape, data } = clean[tensor];
  const changed = Float64Array.from(data);
  changed[row * (shape[3] ?? 1) + 1] = Number.NaN;
  const lengths = { shape: [2], data: Float64Array.of(40, 30) };
  const inputs = { ...clean, lengths, [tensor]: { shape, data: changed } };
  const trial = { pipeline, parameters, inputs, dO: drawGradient(pipeline, clean, 5, 1) };
  return { trial, expected: named(referenceGradients(pipeline, parameters, inputs, trial.dO)) };
}
