import type { CstElement, CstNode, IToken } from "chevrotain";
import type { Span } from "./attention.ts";
import { joinSpans, tokenSpan } from "./span.ts";

/** Reading Chevrotain's concrete syntax tree: children by name, tokens in order. */

function isNode(element: CstElement): element is CstNode {
  return "children" in element;
}

function isToken(element: CstElement): element is IToken {
  return !isNode(element);
}

/** A token that recovery made up has no place in the text. */
function isReal(token: IToken): boolean {
  return Number.isFinite(token.startOffset) && token.isInsertedInRecovery !== true;
}

export function childNodes(cst: CstNode, name: string): readonly CstNode[] {
  return (cst.children[name] ?? []).filter(isNode);
}

export function childNode(cst: CstNode, name: string): CstNode | null {
  return childNodes(cst, name)[0] ?? null;
}

export function childTokens(cst: CstNode, name: string): readonly IToken[] {
  return (cst.children[name] ?? []).filter(isToken).filter(isReal);
}

export function childToken(cst: CstNode, name: string): IToken | null {
  return childTokens(cst, name)[0] ?? null;
}

/** The only child, for rules that are a choice of one. */
export function onlyNode(cst: CstNode): CstNode | null {
  return Object.values(cst.children).flat().find(isNode) ?? null;
}

/** All tokens under a node, in the order of the text. */
export function tokensOf(cst: CstNode): readonly IToken[] {
  const found: IToken[] = [];
  const collect = (node: CstNode): void => {
    for (const element of Object.values(node.children).flat()) {
      if (isNode(element)) collect(element);
      else if (isReal(element)) found.push(element);
    }
  };
  collect(cst);
  return found.sort((a, b) => a.startOffset - b.startOffset);
}

/** From the first to the last token under a node; null when there is none. */
export function nodeSpan(cst: CstNode): Span | null {
  const tokens = tokensOf(cst);
  const first = tokens[0];
  const last = tokens.at(-1);
  return first === undefined || last === undefined ? null : joinSpans(tokenSpan(first), tokenSpan(last));
}
