import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { beforeAll, describe, expect, test } from "vitest";
import { createOnigScanner, createOnigString, loadWASM } from "vscode-oniguruma";
import { type IGrammar, INITIAL, parseRawGrammar, Registry } from "vscode-textmate";
import { Reporter } from "../../compiler/language/diagnostics.ts";
import { lex } from "../../compiler/language/lex.ts";
import { isKeyword } from "../../compiler/language/words.ts";
import { grammarText } from "../../examples/vscode/scripts/grammar.ts";

const EXTENSION = new URL("../../examples/vscode/", import.meta.url);
const GRAMMAR = readFileSync(new URL("syntaxes/mta.tmLanguage.json", EXTENSION), "utf8");
const require = createRequire(import.meta.url);

let grammar: IGrammar;

beforeAll(async () => {
  await loadWASM(readFileSync(require.resolve("vscode-oniguruma/release/onig.wasm")));
  const registry = new Registry({
    onigLib: Promise.resolve({ createOnigScanner, createOnigString }),
    loadGrammar: async (scope) => (scope === "source.mta" ? parseRawGrammar(GRAMMAR, "mta.json") : null),
  });
  const loaded = await registry.loadGrammar("source.mta");
  if (loaded === null) throw new Error("the grammar does not load");
  grammar = loaded;
});

/** For each character of a text, the scopes that an editor gives it, joined by blanks. */
function scopesOf(text: string): readonly string[] {
  const scopes: string[] = [];
  let stack = INITIAL;
  for (const line of text.split("\n")) {
    const { tokens, ruleStack } = grammar.tokenizeLine(line, stack);
    stack = ruleStack;
    for (const { startIndex, endIndex, scopes: names } of tokens)
      for (let index = startIndex; index < Math.min(endIndex, line.length); index += 1)
        scopes.push(names.join(" "));
    scopes.push("");
  }
  return scopes;
}

/** The innermost scope at the mark `|`, just behind it. */
function scopeAt(text: string): string {
  const scopes = scopesOf(text.replace("|", ""));
  return scopes[text.indexOf("|")]?.split(" ").at(-1) ?? "";
}

test("the grammar is the one that the compiler's words give", () => {
  expect(GRAMMAR, "run `npm run vscode:grammar`").toBe(grammarText());
});

describe("against the compiler's own lexer", () => {
  const folders = ["../../examples/", "../golden/specs/"].map((folder) => new URL(folder, import.meta.url));
  const specs = folders.flatMap((folder) =>
    readdirSync(folder)
      .filter((file) => file.endsWith(".mta"))
      .map((file) => [file, readFileSync(new URL(file, folder), "utf8")] as const),
  );

  test.each(specs)("every token of %s has a scope of its kind", (file, text) => {
    const scopes = scopesOf(text);
    const { tokens, comments } = lex(text, new Reporter(file));
    const inComment = new Set<number>();
    for (const { startOffset, image } of comments)
      for (let index = startOffset; index < startOffset + image.length; index += 1) inComment.add(index);
    for (const [index, scope] of scopes.entries())
      if (text[index] !== "\n")
        expect(scope.includes("comment."), `${index}: ${text[index]}`).toBe(inComment.has(index));
    for (const { startOffset, image, tokenType } of tokens) {
      const kind = expectedScope(image, tokenType.name);
      for (let index = startOffset; index < startOffset + image.length; index += 1)
        expect(scopes[index], `${image} at ${index}`).toMatch(kind);
    }
  });

  function expectedScope(image: string, type: string): RegExp {
    if (type === "Pair") return / constant\.numeric\.size\.mta$/;
    if (type === "Numeral") return / constant\.numeric\.mta$/;
    if (/^[{}]$/.test(image)) return / punctuation\.section\.block\.(begin|end)\.mta$/;
    if (/^[()]$/.test(image)) return / punctuation\.section\.parens\.mta$/;
    if (image === ",") return / punctuation\.separator\.mta$/;
    if (/^\W/.test(image)) return / keyword\.operator\.mta$/;
    if (isKeyword(image))
      return / (storage\.(type|modifier)|support\.(type|function)|keyword\.(control|other)|constant\.language)[\w.-]*\.mta$/;
    return / (entity\.(name|other)|variable\.other)[\w.-]*\.mta$/;
  }
});

describe("what a word is follows from its place", () => {
  test.each([
    ["attention a { mask |bias }", "constant.language.value.mta"],
    ["attention a { scores { conv 2x3 |bias } }", "storage.modifier.mta"],
    ["attention a { scores { conv 2x3 pad_key |both } }", "constant.language.value.mta"],
    ["attention a { mask causal |lengths }", "constant.language.value.mta"],
    ["tune a { |lengths 8 }", "keyword.control.clause.mta"],
    ["tune a { sweep |tile_q 8 }", "variable.parameter.knob.mta"],
    ["|attention a { }", "storage.type.attention.mta"],
    ["attention |a extends b { }", "entity.name.type.attention.mta"],
    ["attention a |extends b { }", "keyword.other.extends.mta"],
    ["attention a extends |b { }", "entity.other.inherited-class.mta"],
    ["attention a { |heads 2 }", "support.type.property-name.mta"],
    ["attention a { |scores { } }", "keyword.control.section.mta"],
    ["attention a { scores { |conv 2x3 } }", "support.function.stage.mta"],
    ["attention a { scores { mix 2 as |local } }", "entity.name.label.mta"],
    ["attention a { heads (|n * 2) }", "variable.other.constant.mta"],
    ["const |n = 2", "variable.other.constant.mta"],
    ["stack |s { }", "entity.name.type.stack.mta"],
    ["stack s { use |a otherwise }", "entity.name.type.attention.mta"],
    ["stack s { use a |at every 2 from 1 }", "keyword.other.connective.mta"],
    ["attention a { heads 2 // |heads", "comment.line.double-slash.mta"],
    ["/* two\n |lines */", "comment.block.mta"],
    ["attention a { he|ads_more 2 }", "variable.other.constant.mta"],
  ])("%s", (text, scope) => {
    expect(scopeAt(text)).toBe(scope);
  });

  test.each([
    "attention a { heads 2\nattention |b { }",
    "attention a { scores { conv 2x3\nattention |b { }",
    "attention a\nattention |b { }",
    "attention a { scores { } } }\nattention |b { }",
  ])("a new declaration begins afresh, whatever was not closed: %s", (text) => {
    expect(scopeAt(text)).toBe("entity.name.type.attention.mta");
  });
});
