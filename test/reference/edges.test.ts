import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { resolve } from "../../compiler/ir/index.ts";
import type { Attention } from "../../compiler/language/attention.ts";
import type { AttentionInputs, Float64Tensor, Pipeline } from "../../runtime/contract/index.ts";
import { MtacError } from "../../runtime/contract/index.ts";
import {
  isVisible,
  type ReferenceGradients,
  referenceForward,
  referenceGradients,
} from "../../runtime/reference/index.ts";
import { type RandomCase, randomCase } from "../support/arbitrary.ts";
import { attentionWith, convStage, gateStage, mixStage, normStage } from "../support/attentions.ts";
import { drawInputs, drawOutputGradient, drawParameters } from "../support/draw.ts";
import { relativeError } from "../support/errors.ts";

const tensor = (shape: readonly number[], ...values: number[]): Float64Tensor => ({
  shape,
  data: Float64Array.from(values),
});

interface Made {
  readonly pipeline: Pipeline;
  readonly parameters: ReadonlyMap<string, Float64Tensor>;
  readonly inputs: AttentionInputs<Float64Tensor>;
  readonly dO: Float64Tensor;
}

function made(changes: Partial<Attention>, rows: number, keys: number, B = 1): Made {
  const pipeline = resolve(attentionWith(changes), "a.mta");
  const shape = { B, Lq: rows, Lk: keys, R: 0 };
  return {
    pipeline,
    parameters: drawParameters(pipeline, 7),
    inputs: drawInputs(pipeline, shape, false, 7),
    dO: drawOutputGradient(pipeline, shape, 7),
  };
}

function run({ pipeline, parameters, inputs, dO }: Made): ReferenceGradients {
  return referenceGradients(pipeline, parameters, inputs, dO);
}

const rowOf = (values: Float64Tensor, batch: number, head: number, row: number): number[] => {
  const [, heads = 1, rows = 1, width = 1] = values.shape;
  const start = ((batch * heads + head) * rows + row) * width;
  return [...values.data.subarray(start, start + width)];
};

const everything: Partial<Attention> = {
  heads: 4,
  kvHeads: 2,
  scores: [convStage({ bias: true }), mixStage(2)],
  weights: [convStage({ bias: true }), mixStage(2)],
  output: [normStage(), gateStage()],
};

test("rows that see no key give 0, lse −∞ and no gradient", () => {
  const base = made({ ...everything, mask: [{ kind: "lengths" }] }, 4, 6);
  const found = run({ ...base, inputs: { ...base.inputs, lengths: tensor([1], 0) } });
  expect(found.o.data.every((value) => value === 0)).toBe(true);
  expect(found.lse?.data.every((value) => value === Number.NEGATIVE_INFINITY)).toBe(true);
  for (const gradient of [found.dQ, found.dK, found.dV, ...found.parameters.values()]) {
    expect(gradient.data.every((value) => Math.abs(value) === 0)).toBe(true);
  }
});

test("interleaved documents give what each document gives alone", () => {
  const base = made({ ...everything, mask: [{ kind: "causal" }, { kind: "documents" }] }, 6, 6);
  // A convolution counts columns of the map, so that only an attention without one can be packed apart.
  const plain = made({ heads: 2, mask: [{ kind: "causal" }, { kind: "documents" }] }, 6, 6);
  const ids = tensor([1, 6], 0, 1, 0, 1, 0, 1);
  const both = run({ ...plain, inputs: { ...plain.inputs, documents: ids } });
  const alone = resolve(attentionWith({ heads: 2 }), "a.mta");
  const pick = (values: Float64Tensor): Float64Tensor => ({
    shape: [1, 2, 3, 4],
    data: Float64Array.from(
      [0, 1].flatMap((head) => [1, 3, 5].flatMap((row) => rowOf(values, 0, head, row))),
    ),
  });
  const { q, k, v } = plain.inputs;
  const odd = referenceForward(alone, new Map(), { q: pick(q), k: pick(k), v: pick(v) });
  expect(relativeError(pick(both.o).data, odd.o.data)).toBeLessThan(1e-14);
  expect(run({ ...base, inputs: { ...base.inputs, documents: ids } }).o.data.every(Number.isFinite)).toBe(
    true,
  );
});

test("consecutive documents are as if each were alone, convolutions included", () => {
  const base = made({ ...everything, mask: [{ kind: "causal" }, { kind: "documents" }] }, 7, 7);
  const packed = run({ ...base, inputs: { ...base.inputs, documents: tensor([1, 7], 5, 5, 5, 2, 2, 2, 2) } });
  const alone = resolve(attentionWith(everything), "a.mta");
  const pick = (values: Float64Tensor): Float64Tensor => {
    const [, heads = 1, , width = 1] = values.shape;
    const rows = Array.from({ length: heads }, (_, head) =>
      [3, 4, 5, 6].flatMap((row) => rowOf(values, 0, head, row)),
    );
    return { shape: [1, heads, 4, width], data: Float64Array.from(rows.flat()) };
  };
  const { q, k, v } = base.inputs;
  const second = referenceForward(alone, base.parameters, { q: pick(q), k: pick(k), v: pick(v) });
  expect(relativeError(pick(packed.o).data, second.o.data)).toBeLessThan(1e-14);
});

test("negative ids are no document, not even to each other", () => {
  const base = made({ mask: [{ kind: "documents" }] }, 4, 4);
  const found = run({ ...base, inputs: { ...base.inputs, documents: tensor([1, 4], -1, -1, 3, 3) } });
  for (const head of [0, 1]) {
    expect(rowOf(found.o, 0, head, 0)).toEqual([0, 0, 0, 0]);
    expect(rowOf(found.o, 0, head, 1)).toEqual([0, 0, 0, 0]);
    expect(rowOf(found.o, 0, head, 2)).not.toEqual([0, 0, 0, 0]);
  }
});

test("decoding with history in the convolutions' reach equals the rows of the whole", () => {
  const whole = made(everything, 12, 12);
  const { q, k, v } = whole.inputs;
  const cut = (from: number, to: number): Float64Tensor => {
    const rows = Array.from({ length: to - from }, (_, index) => from + index);
    return {
      shape: [1, 4, to - from, 4],
      data: Float64Array.from([0, 1, 2, 3].flatMap((head) => rows.flatMap((row) => rowOf(q, 0, head, row)))),
    };
  };
  const full = referenceForward(whole.pipeline, whole.parameters, whole.inputs);
  // Two kernels of three rows: four rows of history are exact, three are not.
  const decode = (R: number): Float64Tensor =>
    referenceForward(whole.pipeline, whole.parameters, { q: cut(11, 12), k, v, qHistory: cut(11 - R, 11) }).o;
  const last = [0, 1, 2, 3].flatMap((head) => rowOf(full.o, 0, head, 11));
  expect(relativeError(decode(4).data, last)).toBeLessThan(1e-14);
  expect(relativeError(decode(3).data, last)).toBeGreaterThan(1e-6);
});

test("the trace shows every map in the pipeline's order", () => {
  const seen: string[] = [];
  const { pipeline, parameters, inputs } = made(everything, 3, 5);
  referenceForward(pipeline, parameters, inputs, {
    trace: (name, batch, values) => seen.push(`${batch} ${name} ${values.shape}`),
  });
  expect(seen).toEqual([
    "0 scores 4,3,5",
    "0 scores.conv 4,3,5",
    "0 scores.mix 4,3,5",
    "0 softmax 4,3,5",
    "0 weights.conv 4,3,5",
    "0 weights.mix 4,3,5",
    "0 product 4,3,4",
    "0 output.norm 4,3,4",
    "0 output.gate 4,3,4",
  ]);
});

test("the trace says which entries are visible, and the others are 0", () => {
  const { pipeline, parameters, inputs } = made(everything, 3, 5);
  let hidden = 0;
  referenceForward(pipeline, parameters, inputs, {
    trace: (name, _batch, values, sight) => {
      if (values.shape.at(-1) !== 5) return;
      for (const [index, value] of values.data.entries()) {
        const [head, row, key] = [Math.floor(index / 15), Math.floor(index / 5) % 3, index % 5];
        // Bottom-right: row 0 of 3 stands at key 2 of 5.
        expect(isVisible(sight, head, row, key), name).toBe(key <= row + 2);
        if (isVisible(sight, head, row, key)) continue;
        hidden += 1;
        expect(value, name).toBe(0);
      }
    },
  });
  expect(hidden).toBeGreaterThan(0);
});

test("an output gradient of another shape is refused", () => {
  const base = made({}, 2, 2);
  expect(() => run({ ...base, dO: tensor([1, 2, 1, 4], ...Array(8).fill(0)) })).toThrow(MtacError);
});

describe.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
  "an input of %d",
  (poison) => {
    const poisonedAt = (values: Float64Tensor, index: number): Float64Tensor => ({
      shape: values.shape,
      data: values.data.map((value, at) => (at === index ? poison : value)),
    });

    for (const normalize of ["softmax", "sparsemax"] as const) {
      test(`makes exactly the rows NaN that it reaches (${normalize})`, () => {
        const changes: Partial<Attention> = { ...everything, normalize, output: [] };
        const base = made(changes, 10, 10, 2);
        const sound = run(base);
        // Batch entry 1, head 0, row 3 of q: the convolutions carry it down 4 rows, the mixes to head 1.
        const { q } = base.inputs;
        const found = run({
          ...base,
          inputs: { ...base.inputs, q: poisonedAt(q, ((1 * 4 + 0) * 10 + 3) * 4) },
        });
        for (const batch of [0, 1]) {
          for (const head of [0, 1, 2, 3]) {
            for (let row = 0; row < 10; row += 1) {
              const reached = batch === 1 && head < 2 && row >= 3 && row <= 7;
              const values = rowOf(found.o, batch, head, row);
              if (reached) expect(values.every(Number.isNaN), `row ${row}`).toBe(true);
              else expect(values).toEqual(rowOf(sound.o, batch, head, row));
            }
          }
        }
      });

      test(`in k or v touches no other batch entry or head group, nor rows that do not see it (${normalize})`, () => {
        const base = made({ ...everything, normalize }, 10, 10, 2);
        const sound = run(base);
        for (const key of ["k", "v"] as const) {
          // Batch entry 0, key/value head 1, key 6.
          const values = poisonedAt(base.inputs[key], (1 * 10 + 6) * 4 + 1);
          const found = run({ ...base, inputs: { ...base.inputs, [key]: values } });
          for (let row = 0; row < 10; row += 1) {
            for (const head of [0, 1])
              expect(rowOf(found.o, 0, head, row)).toEqual(rowOf(sound.o, 0, head, row));
            for (const head of [2, 3]) {
              expect(rowOf(found.o, 1, head, row)).toEqual(rowOf(sound.o, 1, head, row));
              const expected = row >= 6 ? Array(4).fill(Number.NaN) : rowOf(sound.o, 0, head, row);
              expect(rowOf(found.o, 0, head, row)).toEqual(expected);
            }
          }
        }
      });
    }
  },
);

/** Poisons one element anywhere: nothing hangs, and other batch entries keep their bits. */
function staysInside(drawn: RandomCase, poison: number): void {
  const { inputs, pipeline, parameters } = drawn;
  const data = inputs.k.data.slice();
  data[0] = poison;
  const sound = referenceForward(pipeline, parameters, inputs).o.data;
  const found = referenceGradients(pipeline, parameters, { ...inputs, k: { ...inputs.k, data } }, drawn.dO).o
    .data;
  const size = sound.length / drawn.shape.B;
  expect(found.slice(size)).toEqual(sound.slice(size));
}

test("NaN and ∞ never leave their batch entry, whatever the attention", () => {
  const poison = fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY);
  fc.assert(fc.property(randomCase({ maxKeys: 12, maxDim: 6 }), poison, staysInside));
});
