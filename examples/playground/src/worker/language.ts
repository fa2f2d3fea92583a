import { TextDocument } from "vscode-languageserver-textdocument";
import { CompletionItemKind, InsertTextFormat, type MarkupContent } from "vscode-languageserver-types";
import { resolve } from "../../../../compiler/ir/index.ts";
import { analyse, format } from "../../../../compiler/language/index.ts";
import { completionsAt } from "../../../../compiler/lsp/completion.ts";
import { hoverAt } from "../../../../compiler/lsp/hover.ts";
import { Predictions } from "../../../../compiler/lsp/predictions.ts";
import { readSpec, type SpecDocument } from "../../../../compiler/lsp/spec-document.ts";
import { usesLayer } from "../../../../runtime/contract/index.ts";
import { type AnalysisReply, type CompletionReply, type HoverReply, SPEC_FILE } from "./protocol.ts";

/** What the editor asks, answered by the compiler's front end and by the functions of its language server. */

const predictions = new Predictions();

/** Every error and warning of a spec, and what it declares. */
export function analyseSpec(text: string): AnalysisReply {
  const { spec, diagnostics } = analyse(text, SPEC_FILE);
  const attentions = (spec?.attentions ?? []).map((attention) => {
    const pipeline = resolve(attention, SPEC_FILE);
    return {
      name: attention.name,
      line: attention.span.line,
      heads: pipeline.heads,
      needsLayer: usesLayer(pipeline),
    };
  });
  return { diagnostics, attentions, sound: spec !== null };
}

/** The formatted text; null where it has syntax errors. */
export function formatSpec(text: string): string | null {
  const formatted = format(text, SPEC_FILE);
  return "text" in formatted ? formatted.text : null;
}

/** What may be written at an offset. */
export function completeSpec(text: string, offset: number): readonly CompletionReply[] {
  const spec = read(text);
  return completionsAt(spec, offset, { snippets: true }, predictions).flatMap((item) => {
    const { textEdit } = item;
    if (textEdit === undefined || !("range" in textEdit)) return [];
    const snippet = item.insertTextFormat === InsertTextFormat.Snippet;
    return {
      label: item.label,
      kind: EDITOR_KINDS.get(item.kind ?? CompletionItemKind.Keyword) ?? "keyword",
      detail: item.detail ?? "",
      documentation: textOf(item.documentation),
      sort: item.sortText ?? item.label,
      insert: snippet ? editorSnippet(textEdit.newText) : textEdit.newText,
      snippet,
      from: spec.text.offsetAt(textEdit.range.start),
      to: spec.text.offsetAt(textEdit.range.end),
    };
  });
}

/** What stands at an offset, in words. */
export function hoverSpec(text: string, offset: number): HoverReply | null {
  const spec = read(text);
  const hover = hoverAt(spec, offset, predictions);
  if (hover === null || hover.range === undefined || !isMarkup(hover.contents)) return null;
  return {
    from: spec.text.offsetAt(hover.range.start),
    to: spec.text.offsetAt(hover.range.end),
    markdown: hover.contents.value,
  };
}

function read(text: string): SpecDocument {
  return readSpec(TextDocument.create(`file:///${SPEC_FILE}`, "mta", 0, text));
}

function isMarkup(contents: unknown): contents is MarkupContent {
  return typeof contents === "object" && contents !== null && "kind" in contents && "value" in contents;
}

function textOf(documentation: string | MarkupContent | undefined): string {
  if (documentation === undefined) return "";
  return typeof documentation === "string" ? documentation : documentation.value;
}

/** The protocol's places `$1`, `${1:text}`, `${1|a,b|}` as the editor writes them; its last place comes last. */
export function editorSnippet(text: string): string {
  return text
    .replace(/\$\{(\d+)\|([^,|]*)[^|]*\|\}/g, (_, place: string, first: string) => `\${${place}:${first}}`)
    .replace(/\$(\d+)/g, (_, place: string) => `\${${place === "0" ? "99" : place}}`);
}

/** The editor's names for what a completion is: they choose its sign. */
const EDITOR_KINDS: ReadonlyMap<CompletionItemKind, string> = new Map([
  [CompletionItemKind.Keyword, "keyword"],
  [CompletionItemKind.Property, "property"],
  [CompletionItemKind.Module, "namespace"],
  [CompletionItemKind.Function, "function"],
  [CompletionItemKind.EnumMember, "enum"],
  [CompletionItemKind.Constant, "constant"],
  [CompletionItemKind.Class, "class"],
  [CompletionItemKind.Field, "property"],
  [CompletionItemKind.Value, "text"],
]);
