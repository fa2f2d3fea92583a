import { Known, type Line } from "./line.ts";
import { readLines } from "./marks.ts";
import { closes, isComment, isName, opens } from "./tokens.ts";

/** What a declaration consists of: one object wherever the same lines stand, so that what is found of it once holds for all kernels. */
export interface Content {
  readonly lines: readonly Line[];
  /** Null where nothing is declared. */
  readonly name: string | null;
  /** All names in its code, each once. */
  readonly names: readonly string[];
}

/** The module, or a namespace: where its declarations are in the list of all, by name. */
export interface Scope {
  readonly outer: Scope | null;
  readonly own: Map<string, number[]>;
}

/**
 * A function, a type, a value, with the comments over it; or what declares nothing: comments between blank lines, directives of the
 * preprocessor, the lines that open and close a namespace.
 */
export interface Declaration {
  readonly content: Content;
  readonly scope: Scope;
}

/** Parses a module of WGSL, CUDA or C, as templates yield it: declarations end with a semicolon or a closing brace. */
export function parseText(text: string): readonly Declaration[] {
  const declarations: Declaration[] = [];
  let scope: Scope = { outer: null, own: new Map() };
  let lines: Line[] = [];
  let depth = 0;
  let code = false;
  const end = (): void => {
    if (lines.length === 0) return;
    const content = contentOf(lines, code ? nameOf : () => null);
    if (content.name !== null)
      scope.own.set(content.name, [...(scope.own.get(content.name) ?? []), declarations.length]);
    declarations.push({ content, scope });
    lines = [];
    code = false;
  };
  for (const line of readLines(text)) {
    const [first] = line.tokens;
    if (depth === 0 && !code) {
      const outer = first === "}" ? scope.outer : null;
      if (first === undefined || first === "namespace" || outer !== null) {
        end();
        if (first === undefined) continue;
        if (outer !== null) scope = outer;
        lines.push(line);
        end();
        if (outer === null) scope = { outer: scope, own: new Map() };
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
  return declarations;
}

const NONE: readonly number[] = [];

/** The declarations that a name stands for: those of the innermost scope that has some. */
export function declared(name: string, scope: Scope | null): readonly number[] {
  for (let within = scope; within !== null; within = within.outer) {
    const found = within.own.get(name);
    if (found !== undefined) return found;
  }
  return NONE;
}

const known = new Known<Content>(5000);

/** @param findName Tells what lines declare that were not met before. */
export function contentOf(
  lines: readonly Line[],
  findName: (lines: readonly Line[]) => string | null,
): Content {
  let key = "";
  for (const { id, source } of lines) key += source === null ? `${id} ` : `${id}:${source} `;
  return (
    known.get(key) ??
    known.add(key, {
      lines,
      name: findName(lines),
      names: [...new Set(lines.flatMap(({ names }) => names))],
    })
  );
}

/** A function of contents that looks at each once. */
export function once<Value>(find: (content: Content) => Value): (content: Content) => Value {
  const found = new WeakMap<Content, { readonly value: Value }>();
  return (content) => {
    const before = found.get(content);
    if (before !== undefined) return before.value;
    const value = find(content);
    found.set(content, { value });
    return value;
  };
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
      else if (depth === 0 && (token === "=" || token === ":" || token === ";" || token === "{"))
        return called ?? last;
      else if (depth === 0 && isName(token)) last = token;
      if (token === "(" && depth === 0) called = last;
      depth += opens(token) ? 1 : closes(token) ? -1 : 0;
    }
  }
  return called ?? last;
}
