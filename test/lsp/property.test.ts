import { readdirSync, readFileSync } from "node:fs";
import * as fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import type { DocumentSymbol, Range } from "vscode-languageserver-types";
import { codeActionsIn } from "../../compiler/lsp/code-actions.ts";
import { completionsAt } from "../../compiler/lsp/completion.ts";
import { diagnosticsOf } from "../../compiler/lsp/diagnostics.ts";
import { formattingEdits } from "../../compiler/lsp/format.ts";
import { hoverAt } from "../../compiler/lsp/hover.ts";
import { definitionAt, highlightsAt, referencesAt } from "../../compiler/lsp/references.ts";
import { renameAt, renameableAt } from "../../compiler/lsp/rename.ts";
import type { SpecDocument } from "../../compiler/lsp/spec-document.ts";
import { symbolsOf } from "../../compiler/lsp/symbols.ts";
import { runsOf, SEED } from "../support/seed.ts";
import { document, predictions, textIn } from "./marked.ts";

const SPECS = ["../../examples/", "../golden/specs/"].flatMap((folder) => {
  const url = new URL(folder, import.meta.url);
  return readdirSync(url)
    .filter((file) => file.endsWith(".mta"))
    .map((file) => [file, readFileSync(new URL(file, url), "utf8")] as const);
});

/** The longest that each request took, in milliseconds: printed at the end, since a machine's load is no fault. */
const longest = new Map<string, number>();

function timed<T>(what: string, request: () => T): T {
  const start = performance.now();
  const result = request();
  longest.set(what, Math.max(longest.get(what) ?? 0, performance.now() - start));
  return result;
}

afterAll(() => {
  const times = [...longest].map(([what, time]) => `${what} ${time.toFixed(1)}`);
  console.info(`test/lsp/property: at most, in ms: ${times.join(", ")}`);
});

function isInside(spec: SpecDocument, { start, end }: Range): boolean {
  const [from, to] = [spec.text.offsetAt(start), spec.text.offsetAt(end)];
  // Places that do not exist are moved to ones that do.
  const exact = [spec.text.positionAt(from), spec.text.positionAt(to)];
  return from <= to && JSON.stringify(exact) === JSON.stringify([start, end]);
}

function checkDocument(text: string): SpecDocument {
  const spec = timed("reading", () => document(text));
  for (const { range, relatedInformation } of timed("diagnostics", () => diagnosticsOf(spec))) {
    expect(isInside(spec, range)).toBe(true);
    for (const { location } of relatedInformation ?? []) expect(isInside(spec, location.range)).toBe(true);
  }
  timed("format", () => formattingEdits(spec));
  timed("quick fixes", () => codeActionsIn(spec, 0, text.length, null));
  const symbols = timed("symbols", () => symbolsOf(spec));
  const check = (list: readonly DocumentSymbol[]): void => {
    for (const { range, selectionRange, children } of list) {
      expect(isInside(spec, range) && isInside(spec, selectionRange)).toBe(true);
      const [outer, inner] = [range, selectionRange].map((each) => [
        spec.text.offsetAt(each.start),
        spec.text.offsetAt(each.end),
      ]);
      expect((outer?.[0] ?? 0) <= (inner?.[0] ?? 0) && (inner?.[1] ?? 0) <= (outer?.[1] ?? 0)).toBe(true);
      check(children ?? []);
    }
  };
  check(symbols);
  return spec;
}

function checkPlace(spec: SpecDocument, at: number): void {
  // No cursor stands between the two characters of a line's end.
  const offset = spec.text.offsetAt(spec.text.positionAt(at));
  const items = timed("completion", () => completionsAt(spec, offset, { snippets: true }, predictions));
  expect(new Set(items.map(({ label }) => label)).size).toBe(items.length);
  for (const { textEdit } of items) {
    if (textEdit === undefined || !("range" in textEdit)) throw new Error("no edit");
    const { start, end } = textEdit.range;
    expect(start.line).toBe(end.line);
    expect(textIn(spec, textEdit.range)).toMatch(/^\w*$/);
    expect(spec.text.offsetAt(start) <= offset && offset <= spec.text.offsetAt(end)).toBe(true);
  }
  const found = timed("definition", () => definitionAt(spec, offset));
  const highlights = timed("highlights", () => highlightsAt(spec, offset));
  const references = timed("references", () => referencesAt(spec, offset, true));
  expect(references.map(({ range }) => range)).toEqual(highlights);
  if (found !== null) {
    const name = textIn(spec, found.range);
    expect(new Set(highlights.map((range) => textIn(spec, range)))).toEqual(new Set([name]));
  }
  const renameable = timed("prepare rename", () => renameableAt(spec, offset));
  // Whatever an editor may be asked to rename has uses.
  if (!("refused" in renameable)) expect(highlights.length).toBeGreaterThan(0);
}

function checkCostly(spec: SpecDocument, offset: number): void {
  const hover = timed("hover", () => hoverAt(spec, offset, predictions));
  if (hover?.range !== undefined) expect(isInside(spec, hover.range)).toBe(true);
  const renaming = timed("rename", () => renameAt(spec, offset, "quite_another_name"));
  if ("edits" in renaming) expect(renaming.edits.length).toBeGreaterThan(0);
}

describe("no request fails", () => {
  test.each(SPECS)("anywhere in %s", (_, text) => {
    for (const source of [text, text.replaceAll("\n", "\r\n")]) {
      const spec = checkDocument(source);
      expect(spec.analysis.diagnostics.filter(({ severity }) => severity === "error")).toEqual([]);
      for (let offset = 0; offset <= source.length; offset += 1) checkPlace(spec, offset);
      for (let offset = 0; offset <= source.length; offset += 3) checkCostly(spec, offset);
    }
  });

  const cut = fc.double({ min: 0, max: 1, noNaN: true });
  const junk = fc.oneof(
    fc.constantFrom(
      "{",
      "}",
      "(",
      ")",
      ",",
      "=",
      "..",
      "/*",
      "//",
      "😀",
      "é",
      "\r\n",
      "attention",
      "conv",
      "extends",
      "as",
      "9x",
      "\0",
    ),
    fc.string({ maxLength: 6 }),
  );
  /** A spec that ends too early, lacks a piece, has one twice, or has something in its place. */
  const damaged = fc
    .record({
      spec: fc.constantFrom(...SPECS),
      kind: fc.constantFrom("prefix", "without", "twice", "replaced"),
      from: cut,
      length: fc.nat(30),
      junk,
    })
    .map(({ spec: [, text], kind, from, length, junk: inserted }) => {
      const start = Math.floor(from * text.length);
      const [before, piece, after] = [
        text.slice(0, start),
        text.slice(start, start + length),
        text.slice(start + length),
      ];
      switch (kind) {
        case "prefix":
          return { text: before, near: start };
        case "without":
          return { text: before + after, near: start };
        case "twice":
          return { text: before + piece + piece + after, near: start + length };
        default:
          return { text: before + inserted + after, near: start };
      }
    });

  test(`in damaged specs, seed ${SEED}`, () => {
    fc.assert(
      fc.property(damaged, fc.array(cut, { minLength: 20, maxLength: 20 }), ({ text, near }, places) => {
        const spec = checkDocument(text);
        const offsets = [near, near - 1, near + 1, ...places.map((place) => Math.floor(place * text.length))];
        for (const offset of offsets.map((each) => Math.min(Math.max(each, 0), text.length)))
          checkPlace(spec, offset);
        for (const offset of offsets.slice(0, 6))
          checkCostly(spec, Math.min(Math.max(offset, 0), text.length));
      }),
      { seed: SEED, numRuns: runsOf(300) },
    );
  });
});
