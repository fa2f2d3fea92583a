import { readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Reporter } from "../../compiler/language/diagnostics.ts";
import { analyse, format, printSpec } from "../../compiler/language/index.ts";
import { lex } from "../../compiler/language/lex.ts";
import { parse } from "../../compiler/language/parse.ts";
import { SEED } from "../support/seed.ts";
import { EXAMPLE, generatedSpec, withoutPlaces } from "./specs.ts";

function formatted(source: string): string {
  const result = format(source, "spec.mta");
  if ("text" in result) return result.text;
  throw new Error(result.diagnostics.map((each) => each.message).join("\n"));
}

function commentsOf(source: string): string[] {
  const plain = source.replace(/\r\n?/g, "\n");
  return lex(plain, new Reporter("spec.mta")).comments.map((comment) => comment.image.trimEnd());
}

describe("the formatter", () => {
  it("writes the example as its authors would", () => {
    expect(formatted(EXAMPLE)).toMatchInlineSnapshot(`
      "// The 830M configuration of "Multi-Token Attention" (arXiv 2504.00927).
      attention mta_830m {
        heads     16
        head_dim  96
        mask      causal
        dtype     f16

        scores   { conv 6x11   mix 16 }  // before the softmax, in this order
        weights  { conv 6x11   mix 16 }  // after the softmax, in this order
        output   { norm   gate }         // after the product with V
      }

      attention mta_heads extends mta_830m { scores { mix 16 }  weights { mix 16 } }  // no key-query conv

      stack mta_830m_model {  // which layer uses which attention
        layers 24
        use mta_830m  at 2, 6, 10, 14, 18, 22
        use mta_heads otherwise
      }
      "
    `);
  });

  it("moves values, comments and blank lines to their places", () => {
    const source = `/* head */ // x


const n=2*( 3+-4 )/-n2 // the n
attention /* c */ foo{ // why
heads /* a */ 16 ;; head_dim // d
 (n*2+1)

mask causal window(n) documents
kv_heads 4 // kv

// own
scale rsqrt ( head_dim )
scores{conv(2,n+1)pad_key left dilation 2x2 init normal 0.02 across 2 bias shared as a_long_label conv 3x3}
weights { conv 3x3 // first

mix 2
// last
}
output{}
}
stack s {layers 24 use foo at every 4 from 2,3..n use other otherwise // r
}
tune foo { lengths 1,2 batch 3 sweep tile_q 1,2,fast }
// end`;
    expect(formatted(source)).toMatchInlineSnapshot(`
      "/* head */ // x

      const n = 2 * (3 + -4) / -n2  // the n
      attention /* c */ foo {  // why
        heads     /* a */ 16
        head_dim  // d
            (n * 2 + 1)

        mask      causal window (n) documents
        kv_heads  4  // kv

        // own
        scale  rsqrt(head_dim)
        scores {
          conv (2, n + 1) pad_key left dilation 2x2 init normal 0.02 across 2 bias shared as a_long_label
          conv 3x3
        }
        weights {
          conv 3x3  // first

          mix 2
          // last
        }
        output   { }
      }
      stack s {
        layers 24
        use foo   at every 4 from 2, 3..n
        use other otherwise  // r
      }
      tune foo { lengths 1, 2  batch 3  sweep tile_q 1, 2, fast }
      // end
      "
    `);
  });

  it("breaks what is longer than a line", () => {
    const layers = Array.from({ length: 60 }, (_, layer) => layer).join(",");
    const text = formatted(`stack s { use a at ${layers} use b otherwise }
      attention a { scores { conv 3x3 pad_key left conv 3x3 pad_key left conv 3x3 pad_key left conv 3x3 pad_key left } }`);
    expect(Math.max(...text.split("\n").map((line) => line.length))).toBeLessThanOrEqual(100);
    expect(text).toMatchInlineSnapshot(`
      "stack s {
        use a at 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23,
            24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46,
            47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59
        use b otherwise
      }
      attention a {
        scores {
          conv 3x3 pad_key left
          conv 3x3 pad_key left
          conv 3x3 pad_key left
          conv 3x3 pad_key left
        }
      }
      "
    `);
  });

  it("keeps meaning and comments, and changes nothing the second time", () => {
    fc.assert(
      fc.property(generatedSpec, (source) => {
        const once = formatted(source);
        const [before, after] = [parse(source, "spec.mta").tree, parse(once, "spec.mta").tree];
        expect(withoutPlaces(after)).toEqual(withoutPlaces(before));
        expect(commentsOf(once).sort()).toEqual(commentsOf(source).sort());
        expect(formatted(once)).toBe(once);
        expect(once).not.toMatch(/\n\n\n|[ \t]\n(?![^/]*\*\/)/);
      }),
      { seed: SEED, numRuns: 300 },
    );
  });

  it("prints a tree as a spec of the same meaning", () => {
    fc.assert(
      fc.property(generatedSpec, (source) => {
        const { tree } = parse(source, "spec.mta");
        const printed = printSpec(tree);
        expect(withoutPlaces(parse(printed, "spec.mta").tree)).toEqual(withoutPlaces(tree));
      }),
      { seed: SEED, numRuns: 150 },
    );
  });

  it("gives an empty text for an empty one, and one line break at the end", () => {
    expect(formatted("")).toBe("");
    expect(formatted("\n\n  \n")).toBe("");
    expect(formatted("\n\n// only\n\n\n")).toBe("// only\n");
    expect(formatted("\uFEFFconst a=1\r\n\r\n\r\nconst b=2")).toBe("const a = 1\n\nconst b = 2\n");
  });

  it("leaves syntax errors alone and says what they are", () => {
    const result = format("attention a { haeds 4 }", "spec.mta");
    expect("diagnostics" in result && result.diagnostics.map((each) => each.code)).toEqual(["MTA113"]);
  });

  it("formats what is syntactically correct, whatever it means", () => {
    expect(formatted("attention a extends nothing{heads 99999}")).toBe(
      "attention a extends nothing { heads 99999 }\n",
    );
  });

  it("does not touch what the official vectors mean", () => {
    const folder = new URL("../../../shared/vectors/", import.meta.url);
    for (const name of vectorNames(folder)) {
      const source = readFileSync(new URL(`${name}/spec.mta`, folder), "utf8");
      expect(withoutPlaces(analyse(formatted(source), name).spec)).toEqual(
        withoutPlaces(analyse(source, name).spec),
      );
    }
  });
});

function vectorNames(folder: URL): string[] {
  try {
    return readdirSync(folder).filter((name) => /^\d/.test(name));
  } catch {
    console.warn(`MISSING: ${folder.pathname}, so the official vectors' specs are not formatted in this run`);
    return [];
  }
}
