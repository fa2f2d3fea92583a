import { createToken, Lexer } from "chevrotain";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Reporter } from "../../compiler/language/diagnostics.ts";
import { analyse, renderDiagnostics } from "../../compiler/language/index.ts";
import { lex } from "../../compiler/language/lex.ts";
import { parse } from "../../compiler/language/parse.ts";
import { SpecParser } from "../../compiler/language/parser.ts";
import { TOKENS, wordType } from "../../compiler/language/tokens.ts";
import { KEYWORDS } from "../../compiler/language/words.ts";
import { SEED } from "../support/seed.ts";
import { EXAMPLE, generatedSpec } from "./specs.ts";

const heads = "heads 4  head_dim 8";

function codes(source: string): string[] {
  return analyse(source, "spec.mta").diagnostics.map((each) => each.code);
}

describe("the grammar", () => {
  it("passes Chevrotain's validation, which users' runs skip", () => {
    expect(() => new SpecParser({ validate: true })).not.toThrow();
    expect(() => new Lexer(TOKENS, { positionTracking: "full" })).not.toThrow();
    // The check above does check something.
    const empty = createToken({ name: "Empty", pattern: /(?:)/ });
    expect(() => new Lexer([empty])).toThrow();
  });

  it.each(KEYWORDS)("knows the word %s", (word) => {
    const { tokens } = lex(word, new Reporter("spec.mta"));
    expect(tokens.map((token) => token.tokenType)).toEqual([wordType(word)]);
    const longer = lex(`${word}_x ${word}2 x${word}`, new Reporter("spec.mta"));
    expect(longer.tokens.map((token) => token.tokenType.name)).toEqual([
      "Identifier",
      "Identifier",
      "Identifier",
    ]);
  });

  it("refuses every reserved word as a name", () => {
    for (const word of KEYWORDS) {
      if (["attention", "stack", "const", "tune"].includes(word)) continue;
      expect(codes(`const ${word} = 1`), word).toEqual(["MTA107"]);
    }
  });

  it("reads `;` and line breaks as blanks", () => {
    const spread =
      "attention\na\n{;heads\n4;;head_dim\n8\nscores{conv\n3x3\npad_key\nleft}mask\ncausal\nwindow\nn}const\nn=3";
    expect(analyse(spread, "spec.mta").diagnostics).toEqual([]);
    const tight =
      "attention a{heads 4 head_dim 8 scores{conv 3x3 pad_key left}mask causal window n}const n=3";
    expect(analyse(tight, "spec.mta").diagnostics).toEqual([]);
  });

  it("takes a name or an expression wherever a number may stand", () => {
    const source = `const n = 4
      attention a { heads n  kv_heads (n / 2)  head_dim (2 * n)  mask causal window (n + 1)  scale (-1 / n)
        scores { conv (n - 1, n + 1) across n dilation (n, 1) init normal (1 / n)  mix n  softcap (n)  conv 3x3 dilation 2x2 }
        output { norm eps (1e-6 * n) } }
      stack s { layers (n * 2)  use a at n, (n + 1)..(2 * n - 1), every (n) from (n - 4), 1..(n - 1) }
      tune a { lengths (n * 128), n  batch n  sweep tile_q n, fast, (n * 4) }`;
    const { spec, diagnostics } = analyse(source, "spec.mta");
    // `every 4 from 0` covers 4 again.
    expect(diagnostics.map((each) => each.code)).toEqual(["MTA310"]);
    expect(spec).toBeNull();
  });

  it("keeps `every` of a step apart from what follows", () => {
    const source = `attention a { ${heads} }\nattention b { ${heads} }
      stack s { layers 6 use a at every 2 from 0 use b at 1, 3..3, 5 }`;
    expect(analyse(source, "spec.mta").spec?.stacks[0]?.attentions).toEqual(["a", "b", "a", "b", "a", "b"]);
  });
});

describe("recovery", () => {
  const parser = new SpecParser({ validate: false });

  it("reports one error for each of three mistakes in three attentions", () => {
    const source = `attention a { haeds 4  head_dim 8 }
      attention b { heads 4  head_dim 8  scores { conv 3x3 pad_kye left  mix 2 } }
      attention c { heads 4  head_dim  mask causal }
      attention d extends a { dtype f16 }
      stack s { layers 2  use d at 0  use b at 1 }`;
    expect(codes(source)).toEqual(["MTA113", "MTA113", "MTA112"]);
  });

  it("goes on after an unclosed block", () => {
    const source = `attention a { ${heads}\nattention b { ${heads} scores { mix 3 }\nattention c { ${heads} dtype f8 }`;
    expect(codes(source)).toEqual(["MTA111", "MTA111", "MTA304", "MTA115"]);
  });

  it("goes on after a closing brace too many", () => {
    expect(codes(`attention a { ${heads} } }\nattention b { ${heads} dtype f8 }`)).toEqual([
      "MTA110",
      "MTA115",
    ]);
  });

  it("goes on after strange characters", () => {
    expect(codes(`attention a { heads: 4, head_dim = 8 }\nattention b { ${heads} dtype "f8" }`)).toEqual([
      "MTA101",
      "MTA110",
      "MTA110",
      "MTA101",
      "MTA115",
      "MTA101",
    ]);
  });

  it("does not blame a name for the declaration that could not be read", () => {
    expect(
      codes(`atention a { ${heads} }\nattention b extends a { }\nstack s { layers 1 use a at 0 }`),
    ).toEqual(["MTA113"]);
  });

  it("does not ask for properties that an unreadable word may have meant", () => {
    expect(codes("attention a { frobnicate 4  head_dim 8 }")).toEqual(["MTA113"]);
    expect(codes("attention a { num_heads 4  head_dim 8 }")).toEqual(["MTA113"]);
    expect(codes("stack s { layer 4 }")).toEqual(["MTA113"]);
  });

  it("is never at a loss, whatever the tokens", () => {
    const word = fc.constantFrom(
      ...KEYWORDS,
      "x",
      "abc",
      "4",
      "6x11",
      "1e-5",
      "{",
      "}",
      "(",
      ")",
      ",",
      "..",
      "=",
      "+",
      "-",
      "*",
      "/",
      "\n",
      "$",
      "4x",
      "A",
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 40 }), (words) => {
        const source = words.join(" ");
        const lexed = lex(source, new Reporter("spec.mta"));
        parser.input = lexed.tokens;
        parser.file();
        expect(parser.errors.map((fault) => fault.message)).toEqual([]);
        const { diagnostics, spec } = analyse(source, "spec.mta");
        expect(spec === null).toBe(diagnostics.some((each) => each.severity === "error"));
        expect(renderDiagnostics(diagnostics, { source })).not.toMatch(
          /Expecting|Redundant|undefined|NaN(?!`)/,
        );
        for (const { span } of diagnostics) {
          expect(span.start).toBeGreaterThanOrEqual(0);
          expect(span.end).toBeLessThanOrEqual(source.length);
          expect(span.end).toBeGreaterThanOrEqual(span.start);
        }
      }),
      { seed: SEED, numRuns: 500 },
    );
  });

  it("is never at a loss, whatever the text", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.string()), (source) => {
        expect(() => analyse(source, "spec.mta")).not.toThrow();
      }),
      { seed: SEED, numRuns: 300 },
    );
  });

  it("survives a token missing, doubled or exchanged anywhere in the example", () => {
    const { tokens } = lex(EXAMPLE, new Reporter("spec.mta"));
    for (const token of tokens) {
      const [before, after] = [
        EXAMPLE.slice(0, token.startOffset),
        EXAMPLE.slice(token.startOffset + token.image.length),
      ];
      for (const other of ["", `${token.image} ${token.image}`, "}", "heads", "7", "x"]) {
        const { diagnostics } = analyse(`${before}${other}${after}`, "spec.mta");
        // One slip, few messages: that is what recovery is for.
        expect(diagnostics.length, `${token.image} → ${other}`).toBeLessThanOrEqual(5);
      }
    }
  });

  it("reports deep nesting and long expressions instead of running out of stack", () => {
    expect(codes(`const n = ${"(".repeat(50_000)}`)).toEqual(["MTA119"]);
    expect(codes(`const n = ${"-".repeat(50_000)}1`)).toEqual(["MTA119"]);
    expect(codes("{".repeat(50_000))).toEqual(["MTA119"]);
    expect(codes(`const n = ${"1 + ".repeat(50_000)}1`)).toEqual(["MTA119"]);
    expect(codes(`const n = 1${"0".repeat(50_000)}`)).toEqual(["MTA308"]);
    expect(codes("const n = 1e999999999999")).toEqual(["MTA308"]);
  });

  it("takes time in proportion to the file", () => {
    const attentions = Array.from(
      { length: 2000 },
      (_, index) => `attention a${index} ${index > 0 ? `extends a${index - 1} ` : ""}{ ${heads} }`,
    );
    const start = performance.now();
    expect(analyse(attentions.join("\n"), "spec.mta").spec?.attentions).toHaveLength(2000);
    expect(performance.now() - start).toBeLessThan(5000);
  });
});

describe("places", () => {
  it("gives every node of the tree the text that it was read from", () => {
    fc.assert(
      fc.property(generatedSpec, (source) => {
        for (const declaration of parse(source, "spec.mta").tree.declarations) {
          const text = source.slice(declaration.span.start, declaration.span.end);
          expect(text).toMatch(declaration.kind === "const" ? /^const/ : /^(attention|stack|tune)[\s\S]*\}$/);
          const before = source.slice(0, declaration.span.start).split(/\r\n|\n|\r/);
          expect(declaration.span.line).toBe(before.length);
          expect(declaration.span.column).toBe((before.at(-1) ?? "").length + 1);
        }
      }),
      { seed: SEED, numRuns: 100 },
    );
  });
});
