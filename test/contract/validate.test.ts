import { expect, test } from "vitest";
import { resolve } from "../../compiler/ir/index.ts";
import type { Attention } from "../../compiler/language/attention.ts";
import {
  type AttentionInputs,
  checkInputs,
  checkParameters,
  checkSize,
  MtacError,
  nearestName,
  type Pipeline,
  type ShapedTensor,
} from "../../runtime/contract/index.ts";
import { attentionWith, convStage, mixStage, normStage } from "../support/attentions.ts";

const sized = (...shape: number[]): ShapedTensor => ({ shape });

const good = { q: sized(3, 4, 5, 8), k: sized(3, 2, 9, 8), v: sized(3, 2, 9, 6) };

const pipelineWith = (changes: Partial<Attention> = {}): Pipeline =>
  resolve(attentionWith({ heads: 4, kvHeads: 2, headDim: 8, valueDim: 6, ...changes }), "a.mta");

function errorOf(run: () => unknown): MtacError {
  try {
    run();
  } catch (error) {
    if (error instanceof MtacError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

test("a call's shape is read off its tensors", () => {
  expect(checkInputs(pipelineWith(), good)).toEqual({ B: 3, Lq: 5, Lk: 9, R: 0 });
  expect(checkInputs(pipelineWith(), { ...good, qHistory: sized(3, 4, 4, 8) })).toMatchObject({ R: 4 });
});

test.each([[[3, 4, 5, 9]], [[1, 1, 5, 9]], [[3, 1, 5, 9]]])("a bias of shape %j broadcasts", (shape) => {
  expect(() =>
    checkInputs(pipelineWith({ mask: [{ kind: "bias" }] }), { ...good, bias: { shape } }),
  ).not.toThrow();
});

const wrong: readonly (readonly [string, string, Partial<Attention>, AttentionInputs<ShapedTensor>])[] = [
  [
    "MTA601",
    'the input documents is missing: the mask of "by_hand" says documents',
    { mask: [{ kind: "documents" }] },
    good,
  ],
  ["MTA602", "the input lengths has no meaning here", {}, { ...good, lengths: sized(3) }],
  [
    "MTA603",
    "the input q has shape [3, 2, 5, 8]; expected [B, H, Lq, D] = [B, 4, Lq, 8]",
    {},
    { ...good, q: sized(3, 2, 5, 8) },
  ],
  ["MTA603", "the input q has shape [4, 5, 8]", {}, { ...good, q: sized(4, 5, 8) }],
  [
    "MTA603",
    "the input k has shape [1, 2, 9, 8]; expected [B, Hkv, Lk, D] = [3, 2, Lk, 8]",
    {},
    { ...good, k: sized(1, 2, 9, 8) },
  ],
  [
    "MTA603",
    "the input v has shape [3, 2, 8, 6]; expected [B, Hkv, Lk, Dv] = [3, 2, 9, 6]",
    {},
    { ...good, v: sized(3, 2, 8, 6) },
  ],
  ["MTA603", "the input q_history has shape [3, 2, 1, 8]", {}, { ...good, qHistory: sized(3, 2, 1, 8) }],
  [
    "MTA603",
    "the input bias has shape [2, 4, 5, 9]; expected [B or 1, H or 1, R + Lq, Lk] = [3 or 1, 4 or 1, 5, 9]",
    { mask: [{ kind: "bias" }] },
    { ...good, bias: sized(2, 4, 5, 9) },
  ],
  ["MTA603", "the input positions has shape [2]", {}, { ...good, positions: sized(2) }],
  ["MTA604", "the input k of shape [3, 2, 0, 8] is empty", {}, { ...good, k: sized(3, 2, 0, 8) }],
  ["MTA605", "q has 10 rows but k only 9", {}, { ...good, q: sized(3, 4, 10, 8) }],
  [
    "MTA606",
    "q_history has 5 rows but row 0 stands at position 4",
    {},
    { ...good, qHistory: sized(3, 4, 5, 8) },
  ],
  [
    "MTA606",
    "row 0 stands at position 1 in batch entry 2",
    {},
    { ...good, qHistory: sized(3, 4, 2, 8), positions: { shape: [3], data: [2, 3, 1] } },
  ],
  [
    "MTA605",
    "positions holds -1 for batch entry 0",
    {},
    { ...good, positions: { shape: [3], data: [-1, 0, 0] } },
  ],
  [
    "MTA607",
    'output.norm of "by_hand" scales by depth, but no layer is given',
    { output: [normStage({ depthScale: true })] },
    good,
  ],
  ["MTA607", "the layer is 1.5", {}, { ...good, layer: 1.5 }],
  [
    "MTA608",
    "holds 0.5 at index 1",
    { mask: [{ kind: "lengths" }] },
    { ...good, lengths: { shape: [3], data: [1, 0.5, 2] } },
  ],
];

test.each(wrong)("%s: %s", (code, message, changes, inputs) => {
  const error = errorOf(() => checkInputs(pipelineWith(changes), inputs));
  expect(error.code).toBe(code);
  expect(error.kind).toBe("input");
  expect(error.message).toContain(message);
  expect(error.remedy).not.toBeNull();
});

test("mask none takes more query rows than keys", () => {
  const pipeline = pipelineWith({ mask: [] });
  expect(checkInputs(pipeline, { ...good, q: sized(3, 4, 20, 8) })).toMatchObject({ Lq: 20, Lk: 9 });
});

const parameters = pipelineWith({ scores: [convStage(), mixStage(2)] });

test("the pipeline's own parameters pass", () => {
  expect(() =>
    checkParameters(parameters, new Map(parameters.parameters.map((each) => [each.name, each.shape]))),
  ).not.toThrow();
});

test.each([
  [
    "MTA611",
    "the parameter scores.mix.weight [2, 2, 2] is missing",
    null,
    { "scores.conv.weight": [4, 1, 3, 3] },
  ],
  [
    "MTA612",
    "has no parameter scores.cnv.weight",
    "did you mean scores.conv.weight?",
    { "scores.cnv.weight": [4, 1, 3, 3] },
  ],
  ["MTA613", "has shape [4, 3, 3]; expected [4, 1, 3, 3]", null, { "scores.conv.weight": [4, 3, 3] }],
])("%s: %s", (code, message, remedy, shapes) => {
  const error = errorOf(() => checkParameters(parameters, new Map(Object.entries(shapes))));
  expect(error.code).toBe(code);
  expect(error.message).toContain(message);
  if (remedy !== null) expect(error.remedy).toBe(remedy);
});

test("sizes without tensors are checked too", () => {
  expect(() => checkSize({ B: 1, Lq: 2, Lk: 3, R: 0 })).not.toThrow();
  for (const size of [{ B: 0 }, { Lq: 1.5 }, { Lk: Number.NaN }, { R: -1 }])
    expect(errorOf(() => checkSize({ B: 1, Lq: 2, Lk: 3, R: 0, ...size })).code).toBe("MTA604");
});

test("sizes and positions end where 32-bit integers do", () => {
  expect(() => checkSize({ B: 1, Lq: 1, Lk: 2 ** 31 - 1, R: 0 })).not.toThrow();
  expect(errorOf(() => checkSize({ B: 1, Lq: 1, Lk: 2 ** 31, R: 0 })).code).toBe("MTA615");
  const at = (first: number) => () =>
    checkInputs(pipelineWith(), { ...good, positions: { shape: [3], data: Int32Array.of(0, first, 0) } });
  expect(at(2 ** 31 - 2 ** 25 - 100)).not.toThrow();
  expect(errorOf(at(2 ** 31 - 1))).toMatchObject({
    code: "MTA615",
    message: expect.stringContaining("positions holds 2147483647 for batch entry 1"),
  });
});

test("a name is only suggested where most of its letters agree", () => {
  expect(nearestName("score.conv.weight", ["q", "scores.conv.weight"])).toBe("scores.conv.weight");
  expect(nearestName("foo", ["q", "d_o"])).toBeNull();
  expect(nearestName("x", ["q", "k"])).toBeNull();
});
