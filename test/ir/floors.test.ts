import * as fc from "fast-check";
import { expect, test } from "vitest";
import {
  compulsoryBytes,
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
