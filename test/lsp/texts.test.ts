import { readdirSync, readFileSync } from "node:fs";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { TextDocument } from "vscode-languageserver-textdocument";
import type { DocumentSymbol } from "vscode-languageserver-types";
import { analyse, format } from "../../compiler/language/index.ts";
import { codeActionsIn } from "../../compiler/lsp/code-actions.ts";
import { diagnosticsOf } from "../../compiler/lsp/diagnostics.ts";
import { formattingEdits } from "../../compiler/lsp/format.ts";
import { symbolsOf } from "../../compiler/lsp/symbols.ts";
import { generatedSpec } from "../language/specs.ts";
import { document, textIn, URI } from "./marked.ts";

const INVALID = new URL("../language/invalid/", import.meta.url);

function formatted(text: string): string {
  const spec = document(text);
  return TextDocument.applyEdits(spec.text, formattingEdits(spec));
}

describe("diagnostics", () => {
  test.each(readdirSync(INVALID).filter((file) => file.endsWith(".mta")))(
    "%s: as `mtac check` reports them",
    (file) => {
      const text = readFileSync(new URL(file, INVALID), "utf8");
      const spec = document(text);
      const expected = analyse(text, file).diagnostics;
      const found = diagnosticsOf(spec);
      expect(found.map(({ code }) => code)).toEqual(expected.map(({ code }) => code));
      for (const [index, { range, message, severity }] of found.entries()) {
        const finding = expected[index];
        if (finding === undefined || typeof message !== "string")
          throw new Error("too many, or no plain text");
        expect(textIn(spec, range)).toBe(text.slice(finding.span.start, finding.span.end));
        expect(range.start.line).toBe(finding.span.line - 1);
        expect(message.split("\n")[0]).toBe(finding.message.split("\n")[0]);
        if (finding.expected !== undefined) expect(message).toContain(`expected: ${finding.expected}`);
        if (finding.fix !== undefined) expect(message).toContain(`fix: ${finding.fix.message}`);
        expect(severity).toBe(finding.severity === "error" ? 1 : 2);
      }
    },
  );

  test.each([
    ["a name declared twice", "const n = 1\nconst n = 2", "MTA201", "n", 0],
    ["names that become one", "const a_b = 1\nconst a__b = 2", "MTA202", "a_b", 0],
    ["a property given twice", "attention a {\n heads 2\n head_dim 4\n heads 3 }", "MTA210", "heads 2", 1],
    [
      "a section given twice",
      "attention a { heads 2 head_dim 4\n scores { }\n scores { } }",
      "MTA211",
      "scores",
      1,
    ],
    [
      "a fault of the base in an heir",
      "attention a { heads 16 head_dim 4\n scores { mix 16 } }\nattention b extends a { heads 8 }",
      "MTA304",
      "16",
      1,
    ],
  ])("%s names the other place", (_, text, code, place, line) => {
    const spec = document(text);
    const found = diagnosticsOf(spec).find((each) => each.code === code);
    const [related] = found?.relatedInformation ?? [];
    if (related === undefined) throw new Error(`no related place: ${JSON.stringify(found)}`);
    expect(related.location.uri).toBe(URI);
    expect(textIn(spec, related.location.range)).toBe(place);
    expect(related.location.range.start.line).toBe(line);
  });

  test("places count UTF-16 units, in documents with CRLF too", () => {
    const spec = document("// é\r\n/* 😀 */ atention a {\r\n}\r\n");
    const [first] = diagnosticsOf(spec);
    expect(first?.range).toEqual({ start: { line: 1, character: 9 }, end: { line: 1, character: 17 } });
  });
});

describe("quick fixes", () => {
  test.each([
    ["a declaration", "atention a { heads 2 head_dim 4 }", "attention a { heads 2 head_dim 4 }"],
    ["a property", "attention a { head 2 head_dim 4 }", "attention a { heads 2 head_dim 4 }"],
    [
      "another library's name",
      "attention a { num_heads 2 head_dim 4 }",
      "attention a { heads 2 head_dim 4 }",
    ],
    [
      "a base",
      "attention base { heads 2 head_dim 4 }\nattention a extends bsae { }",
      "attention base { heads 2 head_dim 4 }\nattention a extends base { }",
    ],
    ["a capital", "attention a { Heads 2 head_dim 4 }", "attention a { heads 2 head_dim 4 }"],
    ["an equals sign", "attention a { heads = 2 head_dim 4 }", "attention a { heads  2 head_dim 4 }"],
  ])("%s", (_, before, after) => {
    const spec = document(before);
    const [action] = codeActionsIn(spec, 0, before.length, null);
    const edits = action?.edit?.changes?.[URI] ?? [];
    expect(TextDocument.applyEdits(spec.text, edits)).toBe(after);
    expect(action?.kind).toBe("quickfix");
    expect(action?.diagnostics).toHaveLength(1);
    expect(analyse(after, "x").diagnostics).toEqual([]);
  });

  test("only where they are asked for, and of the kinds asked for", () => {
    const text = "attention a { head 2 head_dm 4 }";
    const spec = document(text);
    expect(codeActionsIn(spec, 15, 15, null).map(({ title }) => title)).toEqual(["Change to `heads`"]);
    expect(codeActionsIn(spec, 0, 30, null)).toHaveLength(2);
    expect(codeActionsIn(spec, 0, 30, ["quickfix"])).toHaveLength(2);
    expect(codeActionsIn(spec, 0, 30, ["refactor"])).toEqual([]);
  });
});

describe("format", () => {
  const UGLY = "// é 😀\nattention a { heads 2\n head_dim   4 }\n\n\n\nconst n=1\n";

  test("gives what `mtac fmt` gives, with the document's line endings", () => {
    const expected = format(UGLY, "x");
    if (!("text" in expected)) throw new Error("not formatted");
    expect(formatted(UGLY)).toBe(expected.text);
    expect(formatted(UGLY.replaceAll("\n", "\r\n"))).toBe(expected.text.replaceAll("\n", "\r\n"));
  });

  test("touches only the lines that change", () => {
    const lines = Array.from({ length: 40 }, (_, index) => `const n${index} = ${index}\n`);
    const text = lines
      .map((line, index) => (index === 10 || index === 30 ? line.replace(" = ", "=") : line))
      .join("");
    const edits = formattingEdits(document(text));
    expect(edits.map(({ range }) => [range.start.line, range.end.line])).toEqual([
      [10, 11],
      [30, 31],
    ]);
  });

  test("changes nothing that is formatted, and nothing with syntax errors", () => {
    expect(formattingEdits(document("const n = 1\n"))).toEqual([]);
    expect(formattingEdits(document("const   n =\nattention {"))).toEqual([]);
    // Errors of meaning do not matter.
    expect(formatted("const  n = missing")).toBe("const n = missing\n");
  });

  test("gives what `mtac fmt` gives, whatever the spec", () => {
    fc.assert(
      fc.property(generatedSpec, (text) => {
        const expected = format(text, "x");
        if (!("text" in expected)) throw new Error("a generated spec has correct syntax");
        const ending = text.includes("\r\n") ? "\r\n" : "\n";
        expect(formatted(text)).toBe(expected.text.replaceAll("\n", ending));
      }),
      { numRuns: 150 },
    );
  });
});

test("symbols are the declarations, with sections and stages", () => {
  const spec = document(
    "const n = 1\nattention a { heads 2 head_dim 4 scores { conv 2x3 mix 2 } }\nattention b extends a { }\nstack s { layers 1 use a otherwise }\ntune a { lengths 8 }",
  );
  const outline = (symbols: readonly DocumentSymbol[]): unknown =>
    symbols.map(({ name, detail, children }) => [name, detail, outline(children ?? [])]);
  expect(outline(symbolsOf(spec))).toEqual([
    ["n", "const", []],
    [
      "a",
      "attention",
      [
        [
          "scores",
          undefined,
          [
            ["conv", undefined, []],
            ["mix", undefined, []],
          ],
        ],
      ],
    ],
    ["b", "attention extends a", []],
    ["s", "stack", []],
    ["a", "tune", []],
  ]);
  const names = symbolsOf(spec).map(({ selectionRange, range }) => [
    textIn(spec, selectionRange),
    range.start.line,
  ]);
  expect(names).toEqual([
    ["n", 0],
    ["a", 1],
    ["b", 2],
    ["s", 3],
    ["a", 4],
  ]);
});
