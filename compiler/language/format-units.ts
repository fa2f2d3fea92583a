import type { IToken } from "chevrotain";
import type { Span } from "./attention.ts";
import type { LexedSource } from "./lex.ts";
import type { DeclarationNode, SpecTree, StackItem, TuneItem } from "./tree.ts";

/** A token or a comment: what the formatter moves about but never changes. */
export interface Lexeme {
  readonly kind: "token" | "line-comment" | "block-comment";
  readonly text: string;
  readonly start: number;
  /** Line breaks between the lexeme before and this one. */
  readonly breaks: number;
}

/** Something that gets a line of its own. */
export interface Unit {
  readonly kind:
    | "attention"
    | "stack"
    | "tune"
    | "const"
    | "property"
    | "section"
    | "stage"
    | "use"
    | "clause";
  readonly lexemes: readonly Lexeme[];
  readonly block: Block | null;
}

/** What stands between braces; `lexemes` of its unit then holds what stands before them. */
export interface Block {
  /** Comments on the line of the opening brace. */
  readonly opening: readonly Lexeme[];
  readonly entries: readonly Entry[];
  /** The source has all of it on one line. */
  readonly oneLine: boolean;
}

/** A line of a block: a unit with the comments after it, or comments alone (`unit` is null). */
export interface Entry {
  readonly unit: Unit | null;
  readonly comments: readonly Lexeme[];
  readonly blankBefore: boolean;
}

interface Shape {
  readonly kind: Unit["kind"];
  readonly span: Span;
  readonly children: readonly Shape[] | null;
}

/** Arranges a source's tokens and comments by the tree: a file is a block without braces. */
export function arrange(source: string, lexed: LexedSource, tree: SpecTree): readonly Entry[] {
  const lexemes = lexemesOf(source, lexed);
  return collectEntries(lexemes, tree.declarations.flatMap(declarationShape), false).entries;
}

function lexemesOf(source: string, lexed: LexedSource): Lexeme[] {
  const all = [...lexed.tokens, ...lexed.comments].sort((a, b) => a.startOffset - b.startOffset);
  let end = 0;
  return all.map((token) => {
    const breaks = source.slice(end, token.startOffset).split("\n").length - 1;
    end = token.startOffset + token.image.length;
    return { kind: lexemeKind(token), text: token.image.trimEnd(), start: token.startOffset, breaks };
  });
}

function lexemeKind(token: IToken): Lexeme["kind"] {
  if (token.image.startsWith("//")) return "line-comment";
  return token.image.startsWith("/*") ? "block-comment" : "token";
}

function declarationShape(node: DeclarationNode): Shape[] {
  switch (node.kind) {
    case "const":
      return [{ kind: "const", span: node.span, children: null }];
    case "attention":
      return [{ kind: "attention", span: node.span, children: node.items.map(bodyShape) }];
    case "stack":
    case "tune":
      return [{ kind: node.kind, span: node.span, children: node.items.map(clauseShape) }];
    case "unknown":
      return [];
  }
}

function bodyShape(item: Extract<DeclarationNode, { kind: "attention" }>["items"][number]): Shape {
  if ("property" in item) return { kind: "property", span: item.span, children: null };
  const stages = item.stages.map(({ span }): Shape => ({ kind: "stage", span, children: null }));
  return { kind: "section", span: item.span, children: stages };
}

function clauseShape(item: StackItem | TuneItem): Shape {
  return { kind: item.kind === "use" ? "use" : "clause", span: item.span, children: null };
}

/** Splits a stretch of lexemes into units and the comments between them. */
function collectEntries(lexemes: readonly Lexeme[], shapes: readonly Shape[], inBraces: boolean) {
  const entries: { unit: Unit | null; comments: Lexeme[]; blankBefore: boolean }[] = [];
  const opening: Lexeme[] = [];
  const shapesByStart = new Map(shapes.toReversed().map((shape) => [shape.span.start, shape]));
  let position = 0;
  for (let lexeme = lexemes[position]; lexeme !== undefined; lexeme = lexemes[position]) {
    const { start, breaks } = lexeme;
    const shape = shapesByStart.get(start);
    const blankBefore = breaks > 1 && position > 0;
    if (shape !== undefined) {
      const first = position;
      // They stand in the order of the source.
      while ((lexemes[position]?.start ?? Number.POSITIVE_INFINITY) < shape.span.end) position += 1;
      entries.push({ unit: makeUnit(shape, lexemes.slice(first, position)), comments: [], blankBefore });
      continue;
    }
    // A comment on the line of what stands before it belongs to that.
    const last = entries.at(-1);
    if (breaks === 0 && last !== undefined) last.comments.push(lexeme);
    else if (breaks === 0 && inBraces) opening.push(lexeme);
    else entries.push({ unit: null, comments: [lexeme], blankBefore });
    position += 1;
  }
  return { entries, opening };
}

function makeUnit(shape: Shape, lexemes: readonly Lexeme[]): Unit {
  if (shape.children === null) return { kind: shape.kind, lexemes, block: null };
  const open = lexemes.findIndex((lexeme) => lexeme.kind === "token" && lexeme.text === "{");
  const inner = lexemes.slice(open + 1, -1);
  const { entries, opening } = collectEntries(inner, shape.children, true);
  const oneLine = lexemes.slice(open + 1).every((lexeme) => lexeme.breaks === 0);
  return { kind: shape.kind, lexemes: lexemes.slice(0, open), block: { entries, opening, oneLine } };
}
