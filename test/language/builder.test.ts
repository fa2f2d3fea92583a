import { describe, expect, it } from "vitest";
import {
  analyse,
  analyseBuilt,
  attention,
  conv,
  gate,
  mix,
  norm,
  printSpec,
  renderDiagnostics,
  softcap,
  stack,
  tune,
} from "../../compiler/language/index.ts";
import { withoutPlaces } from "./specs.ts";

const SPEC = `attention mta_830m {
  heads 16  kv_heads 4  head_dim 96  value_dim 64  scale rsqrt(head_dim)  dtype f16  mask causal window 17
  normalize softmax
  scores {
    conv 6x11 pad_key left across 2 dilation 2x2 bias shared init normal 0.02 as local
    mix 16 init zeros
    softcap 50
  }
  weights { conv (3, 5) pad_query past }
  output { norm eps 1e-6 depth_scale  gate channel }
}
attention mta_heads extends mta_830m { mask none  scale (-0.5)  scores { mix 16 as heads_only }  weights { }  output { gate } }
stack model { layers 24  use mta_830m at 2, 4..5, every 4 from 6  use mta_heads otherwise }
tune mta_830m { lengths 1024, 4096  batch 1  sweep tile_q 16, 32  sweep lowering direct, toeplitz }
`;

const full = attention("mta_830m", {
  heads: 16,
  kvHeads: 4,
  headDim: 96,
  valueDim: 64,
  scale: "rsqrt(headDim)",
  dtype: "f16",
  mask: ["causal", { window: 17 }],
  normalize: "softmax",
  scores: [
    conv("6x11", {
      padKey: "left",
      across: 2,
      dilation: "2x2",
      bias: true,
      shared: true,
      init: { normal: 0.02 },
      as: "local",
    }),
    mix(16, { init: "zeros" }),
    softcap(50),
  ],
  weights: [conv([3, 5], { padQuery: "past" })],
  output: [norm({ eps: 1e-6, depthScale: true }), gate("channel")],
});
const heads = attention("mta_heads", {
  extends: full,
  mask: "none",
  scale: -0.5,
  scores: [mix(16, { as: "heads_only" })],
  weights: [],
  output: [gate()],
});
const model = stack("model", {
  layers: 24,
  use: [
    { attention: full, at: [2, { from: 4, to: 5 }, { every: 4, from: 6 }] },
    { attention: "mta_heads", otherwise: true },
  ],
});
const sweep = tune(full, {
  lengths: [1024, 4096],
  batch: [1],
  sweep: { tileQ: [16, 32], lowering: ["direct", "toeplitz"] },
});

describe("the TypeScript builder", () => {
  it("means the same as the spec in text", () => {
    const text = analyse(SPEC, "spec.mta");
    const built = analyseBuilt([full, heads, model, sweep], "spec.ts");
    expect(renderDiagnostics(text.diagnostics, { source: SPEC })).toBe("");
    expect(renderDiagnostics(built.diagnostics, { source: null })).toBe("");
    expect(text.spec).not.toBeNull();
    expect(withoutPlaces(built.spec)).toEqual(withoutPlaces(text.spec));
  });

  it("builds a tree that prints as a spec, and means the same again", () => {
    const built = analyseBuilt([full, heads, model, sweep], "spec.ts");
    const printed = printSpec(built.tree);
    expect(withoutPlaces(analyse(printed, "spec.mta").spec)).toEqual(withoutPlaces(built.spec));
    expect(printed).toMatchSnapshot();
  });

  it("takes one declaration alone, and what it refers to along with it", () => {
    expect(analyseBuilt(full, "spec.ts").spec?.attentions.map((each) => each.name)).toEqual(["mta_830m"]);
    expect(analyseBuilt(heads, "spec.ts").spec?.attentions.map((each) => each.name)).toEqual([
      "mta_heads",
      "mta_830m",
    ]);
    expect(analyseBuilt([sweep], "spec.ts").spec?.attentions.map((each) => each.name)).toEqual(["mta_830m"]);
  });

  it("names the property and the call in its diagnostics", () => {
    const wrong = attention("wrong", {
      heads: 8,
      headDim: 16,
      scores: [mix(8), conv("3x4")],
      weights: [mix(3)],
    });
    const { spec, diagnostics } = analyseBuilt(wrong, "spec.ts");
    expect(spec).toBeNull();
    expect(diagnostics.map((each) => [each.code, each.path])).toEqual([
      ["MTA305", "wrong.scores[1]"],
      ["MTA304", "wrong.weights[0]"],
    ]);
    for (const each of diagnostics) {
      expect(each.file).toMatch(/test\/language\/builder\.test\.ts$/);
      expect(each.span.line).toBeGreaterThan(90);
    }
    expect(diagnostics[0]?.message).toContain("`padKey both`");
  });

  it("says what to do about words of other libraries, in their camel case too", () => {
    for (const word of ["rope", "alibiSlopes", "attnDropout", "rotaryEmb"]) {
      const options = { heads: 2, headDim: 4, [word]: 0.1 };
      const { diagnostics } = analyseBuilt(Reflect.apply(attention, undefined, ["a", options]), "spec.ts");
      expect(diagnostics.map((each) => each.fix?.message)).toEqual([
        expect.stringMatching(/apply RoPE|`mask causal bias`|weights { dropout 0.1 }/),
      ]);
    }
  });

  it("says what an attention lacks", () => {
    const { diagnostics } = analyseBuilt(attention("bare", {}), "spec.ts");
    expect(diagnostics.map((each) => [each.code, each.path, each.message])).toEqual([
      ["MTA213", "bare", "attention `bare` lacks `heads`"],
      ["MTA213", "bare", "attention `bare` lacks `headDim`"],
    ]);
  });

  it("refuses an export that is no declaration", () => {
    for (const exported of [undefined, null, 4, "a", {}, [[full]], () => full]) {
      const { spec, diagnostics } = analyseBuilt(exported, "spec.ts");
      expect(spec).toBeNull();
      expect(diagnostics.map((each) => [each.code, each.file])).toEqual([["MTA231", "spec.ts"]]);
    }
  });

  it("checks the types that a spec in JavaScript does not have", () => {
    // @ts-expect-error a stage of the output
    attention("a", { heads: 4, headDim: 8, scores: [norm()] });
    // @ts-expect-error a number
    attention("a", { heads: "4", headDim: 8 });
    // @ts-expect-error no such modifier
    mix(4, { padKey: "left" });
    const placed = attention("a", { heads: 4, headDim: 8, scores: [norm() as never] });
    expect(analyseBuilt(placed, "spec.ts").diagnostics.map((each) => each.code)).toEqual(["MTA214"]);
  });
});
