import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { analyse, type CheckedSpec, renderDiagnostics } from "../../compiler/language/index.ts";
import { EXAMPLE, withoutPlaces } from "./specs.ts";

function checked(source: string): CheckedSpec {
  const { spec, diagnostics } = analyse(source, "spec.mta");
  if (spec === null) throw new Error(renderDiagnostics(diagnostics, { source }));
  return spec;
}

function codes(source: string): string[] {
  return analyse(source, "spec.mta").diagnostics.map((each) => each.code);
}

const heads = "heads 8  head_dim 16";

describe("analyse", () => {
  it("checks the example", () => {
    const spec = checked(EXAMPLE);
    expect(spec.attentions.map((each) => each.name)).toEqual(["mta_830m", "mta_heads"]);
    expect(spec.attentions[0]).toMatchObject({
      heads: 16,
      kvHeads: 16,
      headDim: 96,
      valueDim: 96,
      scale: 1 / Math.sqrt(96),
      dtype: "f16",
      mask: [{ kind: "causal" }],
      normalize: "softmax",
      scores: [
        { kind: "conv", query: 6, key: 11, padKey: "both", padQuery: "past", across: 1 },
        { kind: "mix", group: 16 },
      ],
      output: [
        { kind: "norm", eps: 1e-5, depthScale: false },
        { kind: "gate", mode: "scalar" },
      ],
    });
    const layers = Array.from({ length: 24 }, (_, layer) => (layer % 4 === 2 ? "mta_830m" : "mta_heads"));
    expect(spec.stacks[0]?.attentions).toEqual(layers);
  });

  it("fills in every default", () => {
    expect(withoutPlaces(checked("attention a { heads 4  head_dim 9 }").attentions[0])).toEqual({
      name: "a",
      heads: 4,
      kvHeads: 4,
      headDim: 9,
      valueDim: 9,
      scale: 1 / 3,
      dtype: "f32",
      mask: [{ kind: "causal" }],
      normalize: "softmax",
      scores: [],
      weights: [],
      output: [],
    });
  });

  it("reads every modifier", () => {
    const source = `attention a { ${heads}  value_dim 3  kv_heads 2  scale 0.5  dtype bf16  normalize sparsemax
      mask causal window 17 documents lengths bias
      scores { conv 3x4 dilation 2x3 pad_key left pad_query both across 4 bias shared init normal 0.02 as local  softcap 30
               mix 8 init zeros as all }
      weights { conv (2, 3) pad_key right init zeros }
      output { gate channel as g  norm depth_scale eps 1e-6 as n } }`;
    expect(withoutPlaces(checked(source).attentions[0])).toMatchSnapshot();
  });

  it("reads `mask none` as no terms, and an empty section as no stages", () => {
    const spec = checked(
      `attention a { ${heads}  mask none  scores { mix 8 } }\nattention b extends a { scores { } }`,
    );
    expect(spec.attentions.map((each) => each.mask)).toEqual([[], []]);
    expect(spec.attentions.map((each) => each.scores.length)).toEqual([1, 0]);
  });

  it("lets warnings pass", () => {
    const { spec, diagnostics } = analyse(
      `attention a { ${heads} weights { conv 3x3 pad_query both } }`,
      "spec.mta",
    );
    expect(spec).not.toBeNull();
    expect(diagnostics.map((each) => [each.code, each.severity])).toEqual([["MTA501", "warning"]]);
    expect(codes(`attention a { ${heads} mask none weights { conv 3x3 pad_query both } }`)).toEqual([]);
    // A kernel of one row reads no later query.
    expect(codes(`attention a { ${heads} weights { conv 1x3 pad_query both } }`)).toEqual([]);
  });

  it("allows depth_scale outside a stack: the layer comes at run time", () => {
    expect(codes(`attention a { ${heads} output { norm depth_scale } }`)).toEqual([]);
  });
});

describe("extends", () => {
  it("copies what the base says, in any order of declarations", () => {
    const spec = checked(`attention c extends b { value_dim 5 }
      attention b extends a { dtype f16  scores { mix 4 } }
      attention a { ${heads}  scores { mix 8 }  weights { mix 2 } }`);
    expect(spec.attentions.map((each) => each.name)).toEqual(["c", "b", "a"]);
    expect(spec.attentions[0]).toMatchObject({
      heads: 8,
      valueDim: 5,
      dtype: "f16",
      scores: [{ group: 4 }],
      weights: [{ group: 2 }],
    });
  });

  it("fills in defaults last, so that they follow what was said last", () => {
    const [, heir] = checked(
      `attention a { ${heads} }\nattention b extends a { heads 4  head_dim 64 }`,
    ).attentions;
    expect(heir).toMatchObject({ heads: 4, kvHeads: 4, headDim: 64, valueDim: 64, scale: 1 / 8 });
    const [, fixed] = checked(
      `attention a { ${heads}  kv_heads 2  scale 1 }\nattention b extends a { heads 4  head_dim 64 }`,
    ).attentions;
    expect(fixed).toMatchObject({ kvHeads: 2, scale: 1 });
  });

  it("checks stages against what the heir says", () => {
    expect(codes(`attention a { ${heads} scores { mix 8 } }\nattention b extends a { heads 12 }`)).toEqual([
      "MTA304",
    ]);
    expect(
      codes(
        `attention a { ${heads} mask none weights { conv 3x3 pad_query both } }\nattention b extends a { mask causal }`,
      ),
    ).toEqual(["MTA501"]);
  });

  it("reports a base's fault once, however many heirs it has", () => {
    expect(
      codes(
        `attention a { ${heads} scores { mix 3 } }\nattention b extends a { }\nattention c extends b { }`,
      ),
    ).toEqual(["MTA304"]);
    expect(codes("attention a { heads 0 }\nattention b extends a { }")).toEqual(["MTA213", "MTA302"]);
  });
});

describe("const", () => {
  it.each([
    ["2 + 3 * 4", 14],
    ["(2 + 3) * 4", 20],
    ["20 - 4 - 6", 10],
    ["64 / 4 / 2", 8],
    ["--8", 8],
    ["-(-8)", 8],
    ["2 * -(3 - 7)", 8],
    ["0.1 * 30", 3],
    ["1 / 3 * 3", 1],
    ["1e1", 10],
    ["16.0", 16],
  ])("computes %s exactly", (text, value) => {
    expect(checked(`const n = ${text}\nattention a { heads 1  head_dim n }`).attentions[0]?.headDim).toBe(
      value,
    );
  });

  it.each([
    ["1 / 3", 1 / 3],
    ["2 / 3", 2 / 3],
    ["1e-5", 1e-5],
    ["0.1", 0.1],
    ["0.1 + 0.2", 0.3],
    ["(1e300 * 1e-300) / 7", 1 / 7],
  ])("rounds %s to the nearest float", (text, value) => {
    expect(checked(`attention a { heads 1  head_dim 1  scale (${text}) }`).attentions[0]?.scale).toBe(value);
  });

  it("does not grow without end", () => {
    const squares = Array.from({ length: 40 }, (_, index) => `const c${index + 1} = c${index} * c${index}`);
    expect(codes(`const c0 = 1.000000001\n${squares.join("\n")}`)).toEqual(["MTA308"]);
  });

  it("comes in any order", () => {
    expect(
      checked(`attention a { heads c  head_dim a_1 }\nconst c = b * 2\nconst b = a_1\nconst a_1 = 4`)
        .attentions[0]?.heads,
    ).toBe(8);
  });
});

describe("stack and tune", () => {
  const attentions = `attention a { ${heads} }\nattention b { ${heads} }\n`;

  it("covers layers with numbers, ranges, steps and the rest", () => {
    const source = `${attentions}stack s { use b otherwise  use a at 0, 3..4, every 5 from 7  layers 14 }`;
    expect(checked(source).stacks[0]?.attentions.join("")).toBe("abbaabbabbbbab");
  });

  it("refuses a layer that its own steps cover twice", () => {
    expect(codes(`${attentions}stack s { layers 8  use a at 4, every 4 from 0  use b otherwise }`)).toEqual([
      "MTA310",
    ]);
  });

  it("carries a tune along, constants replaced, names kept", () => {
    const source = `const t = 32\n${attentions}tune a { lengths 1024, 4096  batch 1, 8  sweep tile_q 16, t, (t * 2)  sweep lowering direct, f16 }`;
    const spec = checked(source);
    expect(withoutPlaces(spec.tunes)).toEqual([
      {
        attention: "a",
        lengths: [1024, 4096],
        batch: [1, 8],
        sweeps: [
          { knob: "tile_q", values: [16, 32, 64] },
          { knob: "lowering", values: ["direct", "f16"] },
        ],
      },
    ]);
  });

  it("needs no lengths, batch or sweeps", () => {
    expect(withoutPlaces(checked(`${attentions}tune b { }`).tunes)).toEqual([
      { attention: "b", lengths: [], batch: [], sweeps: [] },
    ]);
  });
});

describe("the official vectors", () => {
  const folder = new URL("../../../shared/vectors/", import.meta.url);
  const names = existsSync(folder) ? readdirSync(folder).filter((name) => /^\d/.test(name)) : [];
  if (names.length === 0)
    console.warn(`MISSING: ${folder.pathname}: the official vectors' specs are NOT checked in this run`);

  it.runIf(names.length > 0)("are all valid specs", () => {
    for (const name of names) {
      const spec = checked(readFileSync(new URL(`${name}/spec.mta`, folder), "utf8"));
      expect(spec.attentions.map((each) => each.name)).toEqual([`case_${name.toLowerCase()}`]);
    }
  });
});
