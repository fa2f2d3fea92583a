import type { IToken } from "chevrotain";
import type { TextDocument } from "vscode-languageserver-textdocument";
import type { Range } from "vscode-languageserver-types";
import { type Analysis, check } from "../language/analyse.ts";
import type { Span } from "../language/attention.ts";
import { parse } from "../language/parse.ts";
import { tokenSpan } from "../language/span.ts";
import { type NameUse, namesIn } from "./names.ts";

/** A version of an open spec with all that the compiler's front end says about it. Offsets count UTF-16 units, as in LSP. */
export interface SpecDocument {
  readonly text: TextDocument;
  readonly analysis: Analysis;
  /** In the order of the text; malformed words and numbers are among them, mended. */
  readonly tokens: readonly IToken[];
  readonly comments: readonly IToken[];
  readonly names: readonly NameUse[];
}

/** Reads a version of a document. Never throws, whatever the text. */
export function readSpec(text: TextDocument): SpecDocument {
  const { tree, lexed, diagnostics } = parse(text.getText(), fileName(text.uri));
  const analysis = check(tree, diagnostics);
  const { tokens, comments } = lexed;
  return { text, analysis, tokens, comments, names: namesIn(analysis, tokens) };
}

/** The last part of a URI: what messages call the document. */
function fileName(uri: string): string {
  const last = uri.slice(uri.lastIndexOf("/") + 1);
  try {
    return decodeURIComponent(last);
  } catch {
    return last;
  }
}

/** @param span offsets into the text, `end` exclusive */
export function rangeOf(
  { text }: Pick<SpecDocument, "text">,
  { start, end }: Pick<Span, "start" | "end">,
): Range {
  return { start: text.positionAt(start), end: text.positionAt(end) };
}

/** Whether a cursor at `offset` touches a span: just behind its last character counts. */
export function touches({ start, end }: Pick<Span, "start" | "end">, offset: number): boolean {
  return start <= offset && offset <= end;
}

/** The token under the cursor; of a word and a sign that both touch it, the word. */
export function tokenAt({ tokens }: SpecDocument, offset: number): IToken | null {
  const touched = tokens.filter((token) => touches(tokenSpan(token), offset));
  return touched.find(({ image }) => /^\w/.test(image)) ?? touched.at(-1) ?? null;
}

/** Whether the offset lies inside a comment, one without an end included. */
export function isInComment({ comments, analysis }: SpecDocument, offset: number): boolean {
  const open = analysis.diagnostics.find(({ code }) => code === "MTA102");
  if (open !== undefined && offset > open.span.start) return true;
  return comments.some((comment) => {
    const { start, end } = tokenSpan(comment);
    // The end of a line comment is still inside it.
    return start < offset && (offset < end || (offset === end && comment.image.startsWith("//")));
  });
}
