import type { IToken } from "chevrotain";
import type { Span } from "./attention.ts";
import { placeAt } from "./lines.ts";

export function tokenSpan(token: IToken): Span {
  const end = (token.endOffset ?? token.startOffset) + 1;
  return { start: token.startOffset, end, line: token.startLine ?? 1, column: token.startColumn ?? 1 };
}

/** From the start of the first to the end of the last. */
export function joinSpans(first: Span, last: Span): Span {
  return { start: first.start, end: Math.max(first.end, last.end), line: first.line, column: first.column };
}

/** The empty place just after a span, where something is missing. */
export function after(span: Span): Span {
  const column = span.column + (span.end - span.start);
  return { start: span.end, end: span.end, line: span.line, column };
}

/** The span from `start` to `end` in a text. */
export function spanAt(source: string, start: number, end: number): Span {
  return { start, end, ...placeAt(source, start) };
}
