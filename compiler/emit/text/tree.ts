import { isMarked, MARK } from "./marks.ts";
import { closes, isComment, isName, opens, tokensOf } from "./tokens.ts";

/** A line of emitted text, without its indentation. */
export interface Line {
  readonly text: string;
  readonly tokens: readonly string[];
  /** The line of the spec whose stage it belongs to; null for what no stage has for itself. */
  readonly source: number | null;
}

/** A line of the text that users get. */
export interface EmittedLine {
  readonly text: string;
  readonly source: number | null;
}

/**
 * A function, a type, a value, with the comments over it; or what declares nothing: comments between blank lines, directives of the
 * preprocessor.
 */
export interface Declaration {
  readonly kind: "declaration";
  readonly lines: readonly Line[];
  /** Null where nothing is declared. */
  readonly name: string | null;
}

/** A namespace. */
export interface Scope {
  readonly kind: "scope";
  readonly open: Line;
  readonly close: Line;
  readonly children: readonly Node[];
}

export type Node = Declaration | Scope;

interface OpenScope {
  readonly open: Line;
  readonly children: Node[];
}

/** Parses a module of WGSL, CUDA or C, as templates yield it: declarations end with a semicolon or a closing brace. */
export function parseText(text: string): readonly Node[] {
  const root: Node[] = [];
  const scopes: OpenScope[] = [];
  let nodes = root;
  let lines: Line[] = [];
  let depth = 0;
  let code = false;
  const end = (): void => {
    if (lines.length > 0) nodes.push({ kind: "declaration", lines, name: code ? nameOf(lines) : null });
    lines = [];
    code = false;
  };
  for (const line of readLines(text)) {
    const [first] = line.tokens;
    if (depth === 0 && !code) {
      if (first === undefined) {
        end();
        continue;
      }
      if (first === "namespace") {
        end();
        scopes.push({ open: line, children: [] });
        nodes = scopes.at(-1)?.children ?? root;
        continue;
      }
      const scope = first === "}" ? scopes.pop() : undefined;
      if (scope !== undefined) {
        end();
        nodes = scopes.at(-1)?.children ?? root;
        nodes.push({ kind: "scope", ...scope, close: line });
        continue;
      }
    }
    lines.push(line);
    if (first === undefined || first === "#" || isComment(first)) continue;
    code = true;
    for (const token of line.tokens) depth += opens(token) ? 1 : closes(token) ? -1 : 0;
    const last = lastOfCode(line.tokens);
    if (depth === 0 && (last === ";" || last === "}")) end();
  }
  end();
  return root;
}

/** The last token that is no comment. */
export function lastOfCode(tokens: readonly string[]): string | undefined {
  return tokens.findLast((token) => !isComment(token));
}

function readLines(text: string): readonly Line[] {
  const sources: number[] = [];
  return text.split("\n").map((marked) => {
    if (!isMarked(marked)) {
      const line = marked.trim();
      return { text: line, tokens: tokensOf(line), source: sources.at(-1) ?? null };
    }
    let line = "";
    let source: number | null = null;
    let at = 0;
    const add = (piece: string): void => {
      if (line.trim() === "") source = sources.at(-1) ?? null;
      line += piece;
    };
    for (const { 0: mark, 1: opened, index } of marked.matchAll(MARK)) {
      add(marked.slice(at, index));
      at = index + mark.length;
      if (opened === undefined) sources.pop();
      else sources.push(Number(opened));
    }
    add(marked.slice(at));
    line = line.trim();
    return { text: line, tokens: tokensOf(line), source };
  });
}

/** What a declaration declares: the name before its value, its parameters or its body. */
function nameOf(lines: readonly Line[]): string | null {
  let depth = 0;
  let last: string | null = null;
  let called: string | null = null;
  let parameters = false;
  for (const { tokens } of lines) {
    if (tokens[0] === "#") continue;
    for (const token of tokens) {
      if (isComment(token)) continue;
      // `template <int ROWS>` declares no ROWS.
      if (token === "template") parameters = true;
      else if (parameters) parameters = token !== ">";
      else if (depth === 0 && (token === "=" || token === ":" || token === ";")) return called ?? last;
      else if (depth === 0 && token === "{") return called ?? last;
      else if (depth === 0 && isName(token)) last = token;
      if (token === "(" && depth === 0) called = last;
      depth += opens(token) ? 1 : closes(token) ? -1 : 0;
    }
  }
  return called ?? last;
}
