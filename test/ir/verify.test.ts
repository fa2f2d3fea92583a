import * as fc from "fast-check";
import { expect, test } from "vitest";
import { IR_RULES, IrError, type IrRule, resolve, verifyPipeline } from "../../compiler/ir/index.ts";
import type { ConvStage, NormStage, Pipeline } from "../../runtime/contract/index.ts";
import { randomCase } from "../support/arbitrary.ts";
import {
  attentionWith,
  convStage,
  gateStage,
  mixStage,
  normStage,
  softcapStage,
} from "../support/attentions.ts";

const sound = resolve(
  attentionWith({
    heads: 4,
    mask: [{ kind: "causal" }, { kind: "window", size: 8 }],
    scores: [convStage({ across: 2, bias: true }), softcapStage(30)],
    weights: [mixStage(4)],
    output: [normStage(), gateStage()],
  }),
  "a.mta",
);

function conv(changes: Partial<ConvStage>): Pipeline {
  return {
    ...sound,
    scores: sound.scores.map((stage) => (stage.kind === "conv" ? { ...stage, ...changes } : stage)),
  };
}

function norm(changes: Partial<NormStage>): Pipeline {
  return {
    ...sound,
    output: sound.output.map((stage) => (stage.kind === "norm" ? { ...stage, ...changes } : stage)),
  };
}

const parameter = (changes: object): Pipeline => ({
  ...sound,
  parameters: sound.parameters.map((each, index) => (index === 0 ? { ...each, ...changes } : each)),
});

const softcap = (limit: number): Pipeline => ({
  ...sound,
  scores: sound.scores.map((stage) => (stage.kind === "softcap" ? { ...stage, limit } : stage)),
});

/** One broken pipeline for every rule that the types leave open. */
const broken: readonly (readonly [IrRule, Pipeline])[] = [
  ["attention-name", { ...sound, name: "" }],
  ["sizes", { ...sound, headDim: 0 }],
  ["sizes", { ...sound, valueDim: 1.5 }],
  ["sizes", { ...sound, mask: [{ kind: "window", size: 0 }] }],
  ["sizes", conv({ dilation: { query: 0, key: 1 } })],
  ["kv-heads-divide", { ...sound, kvHeads: 3 }],
  ["scale-finite", { ...sound, scale: Number.POSITIVE_INFINITY }],
  ["mask-once", { ...sound, mask: [{ kind: "causal" }, { kind: "causal" }] }],
  ["mask-order", { ...sound, mask: [...sound.mask].reverse() }],
  [
    "output-once",
    { ...sound, output: [...sound.output, ...norm({ name: "output.again" }).output.slice(0, 1)] },
  ],
  ["stage-names", conv({ name: "weights.conv" })],
  ["stage-names", { ...sound, scores: [...sound.scores, ...sound.scores] }],
  ["group-divides", conv({ across: 3 })],
  ["origin-inside", conv({ origin: { query: 3, key: 0 } })],
  ["origin-inside", conv({ origin: { query: 0, key: 0.5 } })],
  ["pointwise-operands", softcap(0)],
  ["eps-nonnegative", norm({ eps: -1 })],
  ["parameter-names", conv({ weight: "scores.kernel" })],
  ["parameter-order", { ...sound, parameters: [...sound.parameters].reverse() }],
  ["parameter-order", { ...sound, parameters: sound.parameters.slice(1) }],
  ["parameter-order", { ...sound, parameters: [...sound.parameters, ...sound.parameters] }],
  ["parameter-shape", parameter({ shape: [4, 1, 3, 3] })],
  ["parameter-init", parameter({ init: { kind: "ones" } })],
];

test.each(broken)("the verifier names the broken rule %s", (rule, pipeline) => {
  expect(() => verifyPipeline(pipeline)).toThrow(IrError);
  expect(() => verifyPipeline(pipeline)).toThrow(`IR rule "${rule}" broken`);
  expect(() => verifyPipeline(pipeline)).toThrow(IR_RULES[rule]);
});

test("the pass that broke a rule is named", () => {
  expect(() => verifyPipeline({ ...sound, name: "" }, { pass: "lower" })).toThrow('after pass "lower"');
});

test("what the language allows always resolves to a sound pipeline", () => {
  fc.assert(fc.property(randomCase({ maxKeys: 2 }), ({ pipeline }) => verifyPipeline(pipeline)));
});
