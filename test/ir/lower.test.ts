import { expect, test } from "vitest";
import { lower, resolve } from "../../compiler/ir/index.ts";
import {
  attentionWith,
  convStage,
  gateStage,
  mixStage,
  normStage,
  softcapStage,
} from "../support/attentions.ts";

test("stages and parameters are named after section, kind, number and label", () => {
  const pipeline = resolve(
    attentionWith({
      heads: 4,
      headDim: 6,
      valueDim: 5,
      scores: [
        convStage({ query: 6, key: 11, bias: true }),
        softcapStage(30),
        mixStage(4),
        convStage({ query: 2, across: 2, shared: true, bias: true }),
        softcapStage(20),
        convStage({ label: "local", init: { kind: "normal", std: 0.1 } }),
        convStage(),
      ],
      weights: [mixStage(2), convStage()],
      output: [normStage({ depthScale: true }), gateStage("channel")],
    }),
    "a.mta",
  );
  expect([...pipeline.scores, ...pipeline.weights, ...pipeline.output].map((stage) => stage.name)).toEqual([
    "scores.conv",
    "scores.softcap",
    "scores.mix",
    "scores.conv_2",
    "scores.softcap_2",
    "scores.local",
    "scores.conv_4",
    "weights.mix",
    "weights.conv",
    "output.norm",
    "output.gate",
  ]);
  expect(pipeline.parameters.map(({ name, shape, init }) => `${name} [${shape}] ${init.kind}`)).toEqual([
    "scores.conv.weight [4,1,6,11] identity",
    "scores.conv.bias [4] zeros",
    "scores.mix.weight [1,4,4] identity",
    "scores.conv_2.weight [2,2,2,3] identity",
    "scores.conv_2.bias [2] zeros",
    "scores.local.weight [4,1,3,3] normal",
    "scores.conv_4.weight [4,1,3,3] identity",
    "weights.mix.weight [2,2,2] identity",
    "weights.conv.weight [4,1,3,3] identity",
    "output.norm.weight [5] ones",
    "output.gate.weight [5,5] zeros",
    "output.gate.bias [5] zeros",
  ]);
});

test.each([
  ["past", "both", 5, 5],
  ["past", "left", 5, 10],
  ["past", "right", 5, 0],
] as const)("origin of a 6x11 kernel, pad_query %s, pad_key %s", (padQuery, padKey, query, key) => {
  const pipeline = lower(
    attentionWith({ scores: [convStage({ query: 6, key: 11, padQuery, padKey })] }),
    "a.mta",
  );
  expect(pipeline.scores[0]).toMatchObject({ origin: { query, key } });
});

test("pad_query both puts the origin in the middle", () => {
  const pipeline = lower(attentionWith({ weights: [convStage({ query: 5, padQuery: "both" })] }), "a.mta");
  expect(pipeline.weights[0]).toMatchObject({ origin: { query: 2, key: 1 } });
});

test("everything points back to its line in the spec", () => {
  const span = { start: 40, end: 50, line: 3, column: 12 };
  const pipeline = lower(attentionWith({ span, scores: [convStage({ span })] }), "a.mta");
  expect(pipeline.source).toEqual({ file: "a.mta", line: 3, column: 12 });
  expect(pipeline.scores[0]?.source).toEqual({ file: "a.mta", line: 3, column: 12 });
});

test("equal masks get one order of their terms", () => {
  const mask = [
    { kind: "bias" },
    { kind: "lengths" },
    { kind: "documents" },
    { kind: "window", size: 9 },
    { kind: "causal" },
  ] as const;
  expect(resolve(attentionWith({ mask }), "a.mta").mask).toEqual([...mask].reverse());
});
