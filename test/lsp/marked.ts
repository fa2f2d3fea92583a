import { TextDocument } from "vscode-languageserver-textdocument";
import type { CompletionItem } from "vscode-languageserver-types";
import { completionsAt } from "../../compiler/lsp/completion.ts";
import { hoverAt } from "../../compiler/lsp/hover.ts";
import { Predictions } from "../../compiler/lsp/predictions.ts";
import { readSpec, type SpecDocument } from "../../compiler/lsp/spec-document.ts";

/** One for all tests: what was planned once is remembered. */
export const predictions = new Predictions();

export const URI = "file:///specs/spec.mta";

/** A document from a text without marks. */
export function document(text: string): SpecDocument {
  return readSpec(TextDocument.create(URI, "mta", 1, text));
}

/** A document from a text in which `|`, which the language does not have, marks the cursor. */
export function marked(text: string): { readonly spec: SpecDocument; readonly offset: number } {
  const offset = text.indexOf("|");
  if (offset < 0 || text.indexOf("|", offset + 1) >= 0) throw new RangeError("a text needs exactly one mark");
  return { spec: document(text.slice(0, offset) + text.slice(offset + 1)), offset };
}

/** The hover at the mark, as Markdown; empty where there is none. */
export function hover(text: string): string {
  const { spec, offset } = marked(text);
  const found = hoverAt(spec, offset, predictions);
  if (found === null) return "";
  if (typeof found.contents === "string" || !("kind" in found.contents)) throw new RangeError("not Markdown");
  return found.contents.value;
}

export function completions(text: string, snippets = true): readonly CompletionItem[] {
  const { spec, offset } = marked(text);
  return completionsAt(spec, offset, { snippets }, predictions);
}

/** The labels offered at the mark, as an editor sorts them. */
export function labels(text: string): readonly string[] {
  return completions(text)
    .toSorted((a, b) => ((a.sortText ?? a.label) < (b.sortText ?? b.label) ? -1 : 1))
    .map(({ label }) => label);
}

/** The part of a document's text that a range covers. */
export function textIn(spec: SpecDocument, range: Parameters<SpecDocument["text"]["getText"]>[0]): string {
  return spec.text.getText(range);
}
