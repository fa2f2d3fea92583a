import { readMarks } from "./marks.ts";
import { closes, isComment, isName, opens, tokensOf } from "./tokens.ts";

/** A line of emitted text, without its indentation. */
export interface Line {
  readonly text: string;
  readonly tokens: readonly string[];
  /** Those of the tokens that are names. */
  readonly names: readonly string[];
  /** How many more brackets it opens than it closes. */
  readonly depth: number;
  /** The last token that is no comment. */
  readonly last: string | undefined;
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
  /** All names in its code, each once. */
  readonly names: readonly string[];
  /** The same object in all declarations of the same lines: what is found of one holds for the others. */
  readonly content: object;
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
    if (lines.length > 0) nodes.push(declarationOf(lines, code ? nameOf : nameless));
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
    depth += line.depth;
    if (depth === 0 && (line.last === ";" || line.last === "}")) end();
  }
  end();
  return root;
}

function nameless(): null {
  return null;
}

/** Declarations that were met: most of a kernel's stand in others, too. */
const met = new Map<string, Declaration>();
const MOST_MET = 5000;

/** The declaration of lines. @param findName Tells what it declares. */
export function declarationOf(
  lines: readonly Line[],
  findName: (lines: readonly Line[]) => string | null,
): Declaration {
  let key = "";
  for (const { text, source } of lines) key += source === null ? `${text}\n` : `${text}\0${source}\n`;
  let declaration = met.get(key);
  if (declaration === undefined) {
    const names = new Set<string>();
    for (const line of lines) for (const name of line.names) names.add(name);
    declaration = { kind: "declaration", lines, name: findName(lines), names: [...names], content: {} };
    if (met.size >= MOST_MET) met.clear();
    met.set(key, declaration);
  }
  return { ...declaration };
}

/** Lines that were met, without a stage: most lines of a text stand in others, too. */
const known = new Map<string, Line>();
const MOST_KNOWN = 20_000;

/** A line of code or comment. */
export function lineOf(text: string, source: number | null): Line {
  let line = known.get(text);
  if (line === undefined) {
    line = { text, source: null, ...partsOf(tokensOf(text)) };
    if (known.size >= MOST_KNOWN) known.clear();
    known.set(text, line);
  }
  return source === null ? line : { ...line, source };
}

function partsOf(tokens: readonly string[]): Omit<Line, "text" | "source"> {
  const names: string[] = [];
  let depth = 0;
  let last: string | undefined;
  for (const token of tokens) {
    if (isName(token)) names.push(token);
    else if (opens(token)) depth++;
    else if (closes(token)) depth--;
    else if (isComment(token)) continue;
    last = token;
  }
  return { tokens, names, depth, last };
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
