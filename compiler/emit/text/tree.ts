import { readMarks } from "./marks.ts";
import { closes, isComment, isName, opens, tokensOf } from "./tokens.ts";

/** A line of emitted text, without its indentation. */
export interface Line {
  readonly text: string;
  readonly tokens: readonly string[];
  /** Those of the tokens that are names. */
  readonly names: readonly string[];
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
  for (const marked of readMarks(text)) {
    const line = lineOf(marked.text, marked.source);
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

/** Tokens and names of lines: most lines of a text stand in others, too. */
const known = new Map<string, Pick<Line, "tokens" | "names">>();
const MOST_KNOWN = 20_000;

/** A line of code or comment. */
export function lineOf(text: string, source: number | null): Line {
  let parts = known.get(text);
  if (parts === undefined) {
    const tokens = tokensOf(text);
    parts = { tokens, names: tokens.filter(isName) };
    if (known.size >= MOST_KNOWN) known.clear();
    known.set(text, parts);
  }
  return { text, source, tokens: parts.tokens, names: parts.names };
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
