import {
  type CompletionItem,
  CompletionItemKind,
  InsertTextFormat,
  type Range,
} from "vscode-languageserver-types";
import type { ConstNode } from "../language/tree.ts";
import type { Expectation } from "./expectation.ts";
import { knobsOf } from "./hover.ts";
import { expectedAt } from "./places.ts";
import type { Predictions } from "./predictions.ts";
import { isInComment, rangeOf, type SpecDocument } from "./spec-document.ts";
import { type WordPart, type WordText, wordMarkdown, wordText } from "./word-texts.ts";

/** What the client can show. */
export interface CompletionClient {
  readonly snippets: boolean;
}

const KINDS: Readonly<Record<WordPart, CompletionItemKind>> = {
  declaration: CompletionItemKind.Keyword,
  header: CompletionItemKind.Keyword,
  property: CompletionItemKind.Property,
  section: CompletionItemKind.Module,
  stage: CompletionItemKind.Function,
  modifier: CompletionItemKind.Property,
  stack: CompletionItemKind.Keyword,
  tune: CompletionItemKind.Keyword,
  use: CompletionItemKind.Keyword,
  layer: CompletionItemKind.Keyword,
  steps: CompletionItemKind.Keyword,
  dtype: CompletionItemKind.EnumMember,
  normalize: CompletionItemKind.EnumMember,
  mask: CompletionItemKind.EnumMember,
  pad_key: CompletionItemKind.EnumMember,
  pad_query: CompletionItemKind.EnumMember,
  init: CompletionItemKind.EnumMember,
  mode: CompletionItemKind.EnumMember,
  scale: CompletionItemKind.Function,
  rsqrt: CompletionItemKind.Property,
};

/** What may be written at the cursor. A word that has been begun, or that the cursor is in, is replaced. */
export function completionsAt(
  spec: SpecDocument,
  offset: number,
  client: CompletionClient,
  predictions: Predictions,
): CompletionItem[] {
  const source = spec.text.getText();
  if (isInComment(spec, offset)) return [];
  const start = offset - (/[A-Za-z0-9_]*$/.exec(source.slice(0, offset))?.[0].length ?? 0);
  // In a number or a size there is nothing to choose.
  if (/^[0-9]/.test(source.slice(start, offset))) return [];
  const end = offset + (/^[A-Za-z0-9_]*/.exec(source.slice(offset))?.[0].length ?? 0);
  const range = rangeOf(spec, { start, end });
  const snippets = client.snippets && !hasOperand(source.slice(end));
  const items = expectedAt(spec.tokens, start).flatMap((expectation, rank) =>
    itemsOf(spec, expectation, snippets, predictions).map((item) => ({
      ...item,
      sortText: `${rank}${item.sortText ?? ""}`,
    })),
  );
  return items.map((item) => placed(item, range));
}

/** Whether a value follows on the same line: a snippet would bring a second one. */
function hasOperand(rest: string): boolean {
  return /^[ \t]*[0-9({]/.test(rest);
}

function placed({ insertText, ...item }: CompletionItem, range: Range): CompletionItem {
  return { ...item, textEdit: { range, newText: insertText ?? item.label } };
}

function itemsOf(
  spec: SpecDocument,
  expectation: Expectation,
  snippets: boolean,
  predictions: Predictions,
): CompletionItem[] {
  switch (expectation.kind) {
    case "words":
      return expectation.words.flatMap((word, index) => {
        const text = wordText(expectation.part, word);
        return text === null ? [] : [wordItem(word, text, KINDS[expectation.part], index, snippets)];
      });
    case "number":
      return constantItems(spec, expectation.not);
    case "pair":
      return snippets ? [pairItem(expectation.of)] : [];
    case "attention":
      return attentionItems(spec, expectation.not);
    case "knob":
      return knobItems(spec, expectation.attention, predictions);
    case "knob_value":
      return knobValueItems(spec, expectation.attention, expectation.knob, predictions);
  }
}

function wordItem(
  word: string,
  text: WordText,
  kind: CompletionItemKind,
  index: number,
  snippets: boolean,
): CompletionItem {
  const { snippet } = text;
  const inserted =
    snippets && snippet !== undefined
      ? { insertText: toSnippet(snippet), insertTextFormat: InsertTextFormat.Snippet }
      : { insertText: word };
  return {
    label: word,
    kind,
    detail: text.usage,
    documentation: { kind: "markdown", value: wordMarkdown(text) },
    // In the order of the language's tables, which is that of usual specs.
    sortText: String(index).padStart(2, "0"),
    ...inserted,
  };
}

/** LSP's notation: places are numbered in the order of the text, and the cursor ends in the last one if it is empty. */
function toSnippet(text: string): string {
  const places = text.match(/<[^>]*>/g)?.length ?? 0;
  let number = 0;
  return text.replace(/<([^>]*)>/g, (_, content: string) => {
    number += 1;
    if (content === "") return `$${number === places ? 0 : number}`;
    return content.includes("|")
      ? `\${${number}|${content.replaceAll("|", ",")}|}`
      : `\${${number}:${content}}`;
  });
}

function constantItems({ analysis }: SpecDocument, not: string | null): CompletionItem[] {
  const constants = analysis.tree.declarations.filter((node): node is ConstNode => node.kind === "const");
  return constants.flatMap((node) => {
    if (node.name.kind === "invalid" || node.name.text === not) return [];
    const value = analysis.sound.constants.get(node);
    return [
      {
        label: node.name.text,
        kind: CompletionItemKind.Constant,
        detail: value === undefined ? "const" : `const, ${value}`,
        documentation: { kind: "markdown", value: `A constant of this spec, from line ${node.span.line}.` },
      },
    ];
  });
}

function pairItem(example: string): CompletionItem {
  return {
    label: example,
    kind: CompletionItemKind.Value,
    detail: "rows x keys",
    documentation: { kind: "markdown", value: "A size: `6x11`, or `(EXPR, EXPR)` with constants." },
    insertText: toSnippet(`<${example}>`),
    insertTextFormat: InsertTextFormat.Snippet,
  };
}

function attentionItems({ analysis }: SpecDocument, not: string | null): CompletionItem[] {
  return analysis.tree.declarations.flatMap((node) => {
    if (node.kind !== "attention" || node.name.kind === "invalid" || node.name.text === not) return [];
    const base = node.base?.kind === "name" ? ` extends ${node.base.text}` : "";
    return [
      {
        label: node.name.text,
        kind: CompletionItemKind.Class,
        detail: `attention ${node.name.text}${base}`,
        documentation: { kind: "markdown", value: `An attention of this spec, from line ${node.span.line}.` },
      },
    ];
  });
}

function knobItems(spec: SpecDocument, attention: string | null, predictions: Predictions): CompletionItem[] {
  if (attention === null) return [];
  return [...knobsOf(spec, attention, predictions)].map(([knob, values]) => ({
    label: knob,
    kind: CompletionItemKind.Field,
    detail: values.join(", "),
    documentation: {
      kind: "markdown",
      value: `A knob of the planner for \`${attention}\`, with the values it has.`,
    },
  }));
}

function knobValueItems(
  spec: SpecDocument,
  attention: string | null,
  knob: string,
  predictions: Predictions,
): CompletionItem[] {
  if (attention === null) return [];
  const values = knobsOf(spec, attention, predictions).get(knob) ?? [];
  return values.map((value, index) => ({
    label: String(value),
    kind: CompletionItemKind.EnumMember,
    detail: `a value of \`${knob}\``,
    documentation: {
      kind: "markdown",
      value: `One of the planner's values of \`${knob}\` for \`${attention}\`.`,
    },
    sortText: String(index).padStart(2, "0"),
  }));
}
