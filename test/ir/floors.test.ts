import * as fc from "fast-check";
import { expect, test } from "vitest";
import {
  compulsoryBytes,
  compulsoryGradientBytes,
  floorGradientMultiplyAdds,
  floorMultiplyAdds,
  forwardOperations,
  resolve,
  visiblePairs,
} from "../../compiler/ir/index.ts";
import { sightOf } from "../../runtime/reference/index.ts";
import { randomCase } from "../support/arbitrary.ts";
import { attentionWith, convStage, mixStage, softcapStage } from "../support/attentions.ts";

test("the paper's 830M configuration: 2·96 + 2·66 + 2·16 multiply-adds a pair", () => {
  const stages = [convStage({ query: 6, key: 11 }), mixStage(16)];
  const attention = attentionWith({ heads: 16, headDim: 96, valueDim: 96, scores: stages, weights: stages });
  const pipeline = resolve(attention, "a.mta");
  const shape = { B: 2, Lq: 10, Lk: 10, R: 0 };
  expect(visiblePairs(pipeline, shape)).toBe(2 * 16 * 55);
  expect(floorMultiplyAdds(pipeline, shape)).toBe(2 * 16 * 55 * (192 + 132 + 32));
  expect(forwardOperations(pipeline, shape)).toBe(2 * floorMultiplyAdds(pipeline, shape));
});

// Scores again, gradients of weights, q, k and v; 3 · 66 for each convolution, 3 · 16 for each mix.
test.each([
  ["plain", [], [], 0],
  ["a convolution before the softmax", [convStage({ query: 6, key: 11 })], [], 198],
  ["one after it", [], [convStage({ query: 6, key: 11 })], 198],
  ["mixes", [mixStage(16)], [mixStage(16)], 96],
  [
    "the paper's 830M configuration",
    [convStage({ query: 6, key: 11 }), softcapStage(5), mixStage(16)],
    [convStage({ query: 6, key: 11 }), mixStage(16)],
    492,
  ],
])("gradients take 5 D and each stage three times: %s", (_name, scores, weights, stages) => {
  const shape = { B: 2, Lq: 10, Lk: 10, R: 0 };
  const sizes = { heads: 16, headDim: 96, scores, weights };
  const at = (valueDim: number): number =>
    floorGradientMultiplyAdds(resolve(attentionWith({ ...sizes, valueDim }), "a.mta"), shape);
  expect(at(96)).toBe(2 * 16 * 55 * (5 * 96 + stages));
  expect(at(32)).toBe(2 * 16 * 55 * (3 * 96 + 2 * 32 + stages));
});

test("joint convolutions count every head, softcaps nothing", () => {
  const scores = [convStage({ query: 2, key: 3, across: 2 }), softcapStage(5)];
  const pipeline = resolve(attentionWith({ mask: [], scores }), "a.mta");
  expect(floorMultiplyAdds(pipeline, { B: 1, Lq: 3, Lk: 5, R: 0 })).toBe(2 * 15 * (8 + 12));
});

test("compulsory bytes: tensors in their storage type, history too, parameters in f32", () => {
  const attention = attentionWith({
    heads: 4,
    kvHeads: 2,
    valueDim: 6,
    dtype: "bf16",
    scores: [mixStage(4)],
  });
  const bytes = compulsoryBytes(resolve(attention, "a.mta"), { B: 3, Lq: 5, Lk: 9, R: 2 });
  expect(bytes).toBe(2 * 3 * (4 * 7 * 4 + 2 * 9 * 10 + 4 * 5 * 6) + 4 * 16);
  // Gradients of q, its history, k, v and the parameters on top, in f32.
  const more = compulsoryGradientBytes(resolve(attention, "a.mta"), { B: 3, Lq: 5, Lk: 9, R: 2 }) - bytes;
  expect(more).toBe(4 * (3 * (4 * 7 * 4 + 2 * 9 * 10) + 16));
});

test("visible pairs are those of the reference, where no data hides any", () => {
  fc.assert(
    fc.property(
      randomCase({ masks: ["causal", "window", "none"], positions: false }),
      ({ pipeline, shape }) => {
        const { B, Lq, Lk } = shape;
        const { bits } = sightOf({
          mask: pipeline.mask,
          heads: 1,
          rows: Lq,
          keys: Lk,
          firstPosition: Lk - Lq,
          documents: null,
          length: Lk,
          bias: null,
        });
        const seen = bits.reduce((sum, bit) => sum + bit, 0);
        expect(visiblePairs(pipeline, shape)).toBe(seen * B * pipeline.heads);
      },
    ),
  );
});
