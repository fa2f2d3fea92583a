import { describe, expect, test } from "vitest";
import { TextDocument } from "vscode-languageserver-textdocument";
import { TextEdit } from "vscode-languageserver-types";
import { analyse } from "../../compiler/language/index.ts";
import { POINTWISE_KINDS } from "../../compiler/language/pointwise.ts";
import { KEYWORDS, modifiersOf, STAGES } from "../../compiler/language/words.ts";
import { WORD_TEXTS } from "../../compiler/lsp/word-texts.ts";
import { completions, labels, marked } from "./marked.ts";

const BASE = "attention base { heads 16 head_dim 64 }\n";
const SIZES = "const reach = 6\nconst width = reach + 5\n";

describe("what is offered", () => {
  test.each([
    ["an empty file", "|", ["attention", "stack", "const", "tune"]],
    ["between declarations", `${BASE}|\n`, ["attention", "stack", "const", "tune"]],
    ["a declaration that is begun", `${BASE}att|`, ["attention", "stack", "const", "tune"]],
    ["where a new name is due", "attention |", []],
    ["the head of an attention", "attention a |", ["extends"]],
    ["after extends", `${BASE}attention a extends |`, ["base"]],
    [
      "after extends, without a brace yet, before another declaration",
      `attention a extends |\n${BASE}`,
      ["base"],
    ],
    [
      "properties that are left, and sections",
      "attention a { heads 16 head_dim 64 dtype f16 mask causal window 8 documents lengths bias none scores { } | }",
      ["kv_heads", "value_dim", "scale", "normalize", "weights", "output"],
    ],
    ["storage types", "attention a { dtype | }", ["f32", "f16", "bf16"]],
    ["storage types, with a word begun", "attention a { dtype f|", ["f32", "f16", "bf16"]],
    ["normalizers", "attention a { normalize |", ["softmax", "sparsemax"]],
    ["mask terms", "attention a { mask |", ["causal", "window", "documents", "lengths", "bias", "none"]],
    ["scale", `${SIZES}attention a { scale |`, ["rsqrt", "reach", "width"]],
    ["inside rsqrt", "attention a { scale rsqrt(|", ["head_dim"]],
    ["constants as numbers", `${SIZES}attention a { heads | }`, ["reach", "width"]],
    ["constants inside an expression", `${SIZES}attention a { heads (2 * |`, ["reach", "width"]],
    ["constants after window", `${SIZES}attention a { mask causal window |`, ["reach", "width"]],
    ["other constants in a constant", `${SIZES}const more = |`, ["reach", "width"]],
    ["not the constant itself", "const only = |", []],
    ["after the value of a constant", "const only = 3 |", ["attention", "stack", "const", "tune"]],
    ["stages of scores", "attention a { scores { |", ["conv", "mix", ...POINTWISE_KINDS]],
    ["stages of weights", "attention a { weights { | } }", ["conv", "mix", "dropout"]],
    ["stages of output", "attention a { output { |", ["norm", "gate"]],
    ["stages of output, each once", "attention a { output { norm eps 1e-5 as n depth_scale |", ["gate"]],
    ["a size", "attention a { scores { conv |", ["6x11"]],
    ["constants in a size", `${SIZES}attention a { scores { conv (|, width) } }`, ["reach", "width"]],
    [
      "modifiers not yet given, then stages",
      "attention a { scores { conv 6x11 pad_key left bias |",
      ["pad_query", "across", "dilation", "shared", "init", "as", "conv", "mix", ...POINTWISE_KINDS],
    ],
    [
      "modifiers of mix",
      "attention a { weights { conv 2x3 bias mix 16 |",
      ["init", "as", "conv", "mix", "dropout"],
    ],
    [
      "what the stage before was given",
      "attention a { weights { conv 2x3 init zeros as c mix 16 |",
      ["init", "as", "conv", "mix", "dropout"],
    ],
    [
      "in a stack after an attention that was not closed",
      "attention a { scores { conv 2x3\nstack s { layers 4 |",
      ["use"],
    ],
    ["in a head after one that was not closed", "attention a { heads 2\nattention b |", ["extends"]],
    ["one mode for a gate", "attention a { output { gate channel |", ["as", "norm"]],
    ["values of pad_key", "attention a { scores { conv 6x11 pad_key |", ["both", "left", "right"]],
    ["values of pad_query", "attention a { scores { conv 6x11 pad_query |", ["past", "both"]],
    ["values of init", "attention a { scores { conv 6x11 init |", ["identity", "zeros", "normal"]],
    ["a label's name", "attention a { scores { conv 6x11 as |", []],
    [
      "a property after a section that was not closed",
      "attention a { heads 2 head_dim 8 scores { conv 2x3\n mask |",
      ["causal", "window", "documents", "lengths", "bias", "none"],
    ],
    ["clauses of a stack", "stack s { layers 4 |", ["use"]],
    ["attentions to use", `${BASE}stack s { layers 4 use |`, ["base"]],
    ["at or otherwise", `${BASE}stack s { layers 4 use base |`, ["at", "otherwise"]],
    ["layers", `${SIZES}${BASE}stack s { layers 4 use base at |`, ["every", "reach", "width"]],
    ["layers after a comma", `${BASE}stack s { layers 4 use base at 1, |`, ["every"]],
    ["from", `${BASE}stack s { layers 4 use base at every 2 |`, ["from"]],
    ["attentions to tune", `${BASE}tune |`, ["base"]],
    ["clauses of a tune", `${BASE}tune base { lengths 1024 |`, ["batch", "sweep"]],
    ["inside a number", "attention a { heads 1|6 }", []],
    ["inside a comment", "attention a { // hea|\n }", []],
    ["inside a comment without an end", "attention a { /* hea|\n }", []],
    [
      "behind a line comment, on the next line",
      "attention a { // x\n|",
      [
        "heads",
        "kv_heads",
        "head_dim",
        "value_dim",
        "scale",
        "dtype",
        "mask",
        "normalize",
        "scores",
        "weights",
        "output",
      ],
    ],
  ])("%s", (_, text, expected) => {
    expect(labels(text)).toEqual(expected);
  });

  test("after a mask, more terms come first, then what begins anew", () => {
    const offered = labels("attention a { mask causal |");
    expect(offered.slice(0, 4)).toEqual(["window", "documents", "lengths", "bias"]);
    expect(offered).toContain("heads");
    expect(offered).toContain("scores");
    expect(offered).not.toContain("causal");
  });

  test("the planner's knobs after sweep, and their values after a knob", () => {
    const knobs = labels(`${BASE}tune base { sweep |`);
    expect(knobs).toEqual(expect.arrayContaining(["tile_q", "tile_k", "schedule", "lowering"]));
    expect(labels(`${BASE}tune base { sweep schedule |`)).toEqual(["single_pass", "staged", "two_pass"]);
    expect(labels(`${BASE}tune base { sweep schedule staged, |`)).toContain("two_pass");
    const tiles = labels(`${BASE}tune base { sweep tile_q |`).map(Number);
    expect(tiles.length).toBeGreaterThan(2);
    expect(tiles.every((tile) => Number.isInteger(tile) && tile > 0)).toBe(true);
  });
});

describe("how it is offered", () => {
  test("every word has usage and meaning", () => {
    for (const [label, item] of completions("attention a { |").map((each) => [each.label, each] as const)) {
      expect(item.detail, label).toContain(label);
      expect(JSON.stringify(item.documentation).length, label).toBeGreaterThan(30);
    }
  });

  test("the text of a property says its range and its default", () => {
    const [item] = completions("attention a { |").filter(({ label }) => label === "kv_heads");
    expect(item?.documentation).toEqual({
      kind: "markdown",
      value: expect.stringMatching(/an integer from 1 to 1024.*Default: `heads`/s),
    });
  });

  test("every word of the language has a text, and every text is of a word", () => {
    const explained = new Set(Object.values(WORD_TEXTS).flatMap((texts) => Object.keys(texts)));
    expect([...explained].sort()).toEqual([...KEYWORDS].sort());
    expect(Object.keys(WORD_TEXTS.modifier).sort()).toEqual([...new Set(STAGES.flatMap(modifiersOf))].sort());
  });

  test("the word begun is replaced, all of it", () => {
    const { spec, offset } = marked("attention a { he|ad 16 }");
    const [item] = completions("attention a { he|ad 16 }").filter(({ label }) => label === "heads");
    if (item?.textEdit === undefined || !("range" in item.textEdit)) throw new Error("no edit");
    expect(offset).toBe(16);
    expect(spec.text.getText(item.textEdit.range)).toBe("head");
    // A value is there already: no snippet brings a second one.
    expect(item.textEdit.newText).toBe("heads");
  });

  test("without snippets, the word alone", () => {
    for (const item of completions("attention a { |", false)) {
      expect(item.textEdit?.newText).toBe(item.label);
      expect(item.insertTextFormat).toBeUndefined();
    }
  });

  test("the snippets of declarations are specs", () => {
    for (const item of completions("|")) {
      const snippet = item.textEdit?.newText ?? "";
      const filled = snippet.replace(/\$\{\d+:([^}]*)\}/g, "$1").replace(/\$\d/g, "");
      const before = item.label === "tune" ? "attention name { heads 2 head_dim 8 }\n" : "";
      const { diagnostics } = analyse(before + filled, "snippet");
      // A stack's attention is for people to choose.
      const open = item.label === "stack" ? ["MTA116"] : [];
      expect(
        diagnostics.map(({ code }) => code),
        filled,
      ).toEqual(open);
    }
  });

  test("choices are LSP's", () => {
    const [item] = completions("attention a { |").filter(({ label }) => label === "dtype");
    expect(item?.textEdit?.newText).toMatch(/^dtype \$\{1\|f16,bf16,f32\|\}$/);
  });

  test("the edit gives the text that was meant, behind characters of two units and CRLF", () => {
    const source = "// 😀 é\r\nattention a {\r\n  dtype f|\r\n}\r\n";
    const { spec } = marked(source);
    const [item] = completions(source).filter(({ label }) => label === "bf16");
    if (item?.textEdit === undefined || !TextEdit.is(item.textEdit)) throw new Error("no edit");
    const edited = TextDocument.applyEdits(spec.text, [item.textEdit]);
    expect(edited).toBe("// 😀 é\r\nattention a {\r\n  dtype bf16\r\n}\r\n");
  });
});
