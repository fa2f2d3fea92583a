import { describe, expect, test } from "vitest";
import { TextDocument } from "vscode-languageserver-textdocument";
import { analyse } from "../../compiler/language/index.ts";
import { definitionAt, highlightsAt, referencesAt } from "../../compiler/lsp/references.ts";
import { renameAt, renameableAt } from "../../compiler/lsp/rename.ts";
import { marked, textIn, URI } from "./marked.ts";

/** Line and character of the declaration, from 0. */
function definition(text: string): string | null {
  const { spec, offset } = marked(text);
  const found = definitionAt(spec, offset);
  if (found === null) return null;
  expect(found.uri).toBe(URI);
  const { line, character } = found.range.start;
  return `${line}:${character} ${textIn(spec, found.range)}`;
}

/** The text after the rename, or the reason why there is none. */
function rename(text: string, newName: string): string {
  const { spec, offset } = marked(text);
  const renaming = renameAt(spec, offset, newName);
  return "refused" in renaming
    ? `refused: ${renaming.refused}`
    : TextDocument.applyEdits(spec.text, [...renaming.edits]);
}

const BASE = "attention base { heads 16 head_dim 64 }\n";

describe("definition", () => {
  test.each([
    ["extends", `${BASE}attention a extends ba|se { }`, "0:10 base"],
    ["extends, before the base", `attention a extends ba|se { }\n${BASE}`, "1:10 base"],
    ["use", `${BASE}stack s { layers 1 use base| otherwise }`, "0:10 base"],
    ["tune", `${BASE}tune |base { }`, "0:10 base"],
    ["a const as a property", "const n = 4\nattention a { heads n| head_dim 4 }", "0:6 n"],
    ["a const in a size", "const n = 4\nattention a { scores { conv (1, 2 * |n + 1) } }", "0:6 n"],
    ["a const in a modifier", "const n = 4\nattention a { scores { conv 2x3 across n| } }", "0:6 n"],
    ["a const in another", "const m = |n\nconst n = 4", "1:6 n"],
    ["a const in layers", "const n = 4\nstack s { layers (n| * 2) }", "0:6 n"],
    ["a const in a step", `const n = 4\n${BASE}stack s { layers 8 use base at every n| from 0 }`, "0:6 n"],
    ["a const in a sweep", `const n = 4\n${BASE}tune base { sweep tile_q 8, n| }`, "0:6 n"],
    ["the first of two", "const n = 1\nconst n = 2\nattention a { heads n| }", "0:6 n"],
    ["a declaration itself", "attention a| { }", "0:10 a"],
    ["nothing for an unknown name", "attention a extends b| { }", null],
    ["nothing for a word", "attention a { hea|ds 2 }", null],
    ["nothing for the planner's word", `${BASE}tune base { sweep schedule st|aged }`, null],
    ["behind two-unit characters", `/* 😀😀 */ const n = 4\n/* 😀 */ const m = n|`, "0:17 n"],
  ])("%s", (_, text, expected) => {
    expect(definition(text)).toBe(expected);
  });
});

describe("references", () => {
  const text = `${BASE}attention a extends base { }\nstack s { layers 2 use base at 0 use a at 1 }\ntune ba|se { lengths 8 }\n`;

  test("are all places, with the declaration or without", () => {
    const { spec, offset } = marked(text);
    const lines = (withDeclaration: boolean) =>
      referencesAt(spec, offset, withDeclaration).map(({ range }) => range.start.line);
    expect(lines(true)).toEqual([0, 1, 2, 3]);
    expect(lines(false)).toEqual([1, 2, 3]);
    expect(highlightsAt(spec, offset).map((range) => textIn(spec, range))).toEqual(Array(4).fill("base"));
  });
});

describe("rename", () => {
  test("changes an attention everywhere, and the spec stays right", () => {
    const before = `${BASE}attention heir extends ba|se { }\nstack s { layers 2 use base at 0 use heir at 1 }\ntune base { lengths 8 }\n`;
    const after = rename(before, "first");
    expect(after).toBe(before.replaceAll("ba|se", "first").replaceAll("base", "first"));
    expect(analyse(after, "x").diagnostics).toEqual([]);
  });

  test.each([
    [
      "a constant",
      "const n| = 4\nattention a { heads n head_dim (2 * n) scores { conv (n, n + 1) pad_key left } }",
      "size",
    ],
    ["a stack", `${BASE}stack s| { layers 1 use base otherwise }`, "model"],
    [
      "a label",
      "attention a { heads 2 head_dim 4 scores { mix 2 as loc|al } weights { mix 2 as local } }",
      "near",
    ],
  ])("changes %s", (_, before, newName) => {
    const after = rename(before, newName);
    expect(after).not.toContain("refused");
    expect(after).toContain(newName);
    expect(analyse(after, "x").diagnostics).toEqual([]);
  });

  test("leaves the parentheses around a constant", () => {
    expect(rename("const n| = 4\nattention a { heads ( /* n */ n ) head_dim (n) }", "size")).toBe(
      "const size = 4\nattention a { heads ( /* n */ size ) head_dim (size) }",
    );
  });

  test("a label is another one in each section", () => {
    const text = "attention a { heads 2 head_dim 4 scores { mix 2 as loc|al } weights { mix 2 as local } }";
    expect(rename(text, "near")).toContain("weights { mix 2 as local }");
  });

  test.each([
    ["no name", "const n| = 4", "2n", /is no name/],
    ["what would end the name", "const n| = 4", "a = 1 const b", /is no name/],
    ["capitals", "const n| = 4", "headDim", /is no name/],
    ["reserved words", "const n| = 4", "heads", /reserved word/],
    ["words that begin a declaration", "const n| = 4", "stack", /reserved word/],
    ["reserved beginnings", "const n| = 4", "__n", /begins with `__`/],
    ["long names", "const n| = 4", "n".repeat(65), /65 characters/],
    [
      "a name that is taken",
      `const taken = 4\n${BASE.replace("base", "ba|se")}`,
      "taken",
      /is declared already/,
    ],
    [
      "a name that becomes the same in TypeScript",
      `attention my_heads { heads 1 head_dim 1 }\n${BASE.replace("base", "ba|se")}`,
      "my__heads",
      /become the same name in TypeScript/,
    ],
    [
      "a label that is taken",
      "attention a { heads 2 head_dim 4 scores { mix 2 as one mix 2 as t|wo } }",
      "one",
      /collides with the label `one`/,
    ],
    [
      "a label like a stage's own name",
      "attention a { heads 2 head_dim 4 scores { conv 2x3 mix 2 as t|wo mix 2 } }",
      "mix_2",
      /collides with the name of a stage/,
    ],
    [
      "the planner's words, which a constant would capture",
      `const n| = 4\n${BASE}tune base { sweep lowering direct }`,
      "direct",
      /would come to mean this/,
    ],
    [
      "an unknown name that is used",
      `const n| = 4\n${BASE}attention a extends other { }`,
      "other",
      /`other` is a constant|would come to mean this/,
    ],
    ["a name without a declaration", "attention a extends nob|ody { }", "somebody", /not declared/],
    ["a name declared twice", "const n| = 4\nconst n = 5", "m", /more than once/],
    ["knobs", `${BASE}tune base { sweep tile|_q 8 }`, "tile", /the planner's/],
    ["words", "attention a { hea|ds 4 }", "tails", /only the names/],
  ])("refuses %s", (_, text, newName, reason) => {
    expect(rename(text, newName)).toMatch(/^refused: /);
    expect(rename(text, newName)).toMatch(reason);
  });

  test("to the same name changes nothing", () => {
    expect(rename("const n| = 4", "n")).toBe("const n = 4");
  });

  test("is prepared with the name's range", () => {
    const { spec, offset } = marked("/* 😀 */ const na|me = 4");
    const found = renameableAt(spec, offset);
    if ("refused" in found) throw new Error(found.refused);
    expect(found.placeholder).toBe("name");
    expect(textIn(spec, found.range)).toBe("name");
    const word = marked("attention a { hea|ds 4 }");
    expect(renameableAt(word.spec, word.offset)).toHaveProperty("refused");
  });
});
