import { type Line, lineOf, remember } from "./line.ts";
import { type Paragraph, readParagraphs } from "./marks.ts";
import { closes, isComment, isName, opens } from "./tokens.ts";

/** What a declaration consists of: one object wherever its paragraph stands, so that what was found of it holds for all kernels. */
export interface Content {
  readonly lines: readonly Line[];
  /** Null where nothing is declared. */
  readonly name: string | null;
  /** Whether it stays even if nothing names it: what is called or bound from outside, or declares nothing. */
  readonly root: boolean;
}

const OUTSIDE: ReadonlySet<string> = new Set(["__global__", "extern", "enable", "@"]);

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

/** Parses a module of WGSL, CUDA or C, as templates yield it. */
export function parseText(text: string): readonly Declaration[] {
  let scope: Scope = { outer: null, own: new Map() };
  return contentsOf(text).map((content, index) => {
    const [first] = content.lines[0]?.tokens ?? [];
    if (first === "}") scope = scope.outer ?? scope;
    const { name } = content;
    if (name !== null) scope.own.set(name, [...(scope.own.get(name) ?? []), index]);
    const declaration = { content, scope };
    if (first === "namespace") scope = { outer: scope, own: new Map() };
    return declaration;
  });
}

/** A module's parts in their order: whole paragraphs, in which declarations are looked for once. */
function contentsOf(text: string): readonly Content[] {
  const contents: Content[] = [];
  let open: Paragraph[] = [];
  let depth = 0;
  readParagraphs(text).forEach((paragraph, index, all) => {
    open.push(paragraph);
    // The brackets that end namespaces stand among declarations.
    depth = Math.max(0, depth + paragraph.depth);
    if (depth > 0 && index < all.length - 1) return;
    const key = open.map(({ id }) => id).join();
    contents.push(...splitLines(key, open));
    open = [];
  });
  return contents;
}

/** Declarations end with a semicolon or a closing brace, comments of nothing with a blank line. */
const splitLines = remember(5000, (_key, paragraphs: readonly Paragraph[]): readonly Content[] => {
  const contents: Content[] = [];
  let lines: Line[] = [];
  let depth = 0;
  let code = false;
  const end = (): void => {
    if (lines.length > 0) contents.push(contentOf(lines, code ? nameOf(lines) : null));
    lines = [];
    code = false;
  };
  for (const line of paragraphs.flatMap((paragraph) => [...paragraph.lines, BLANK])) {
    const [first] = line.tokens;
    if (depth === 0 && !code && (first === undefined || first === "}" || first === "namespace")) {
      end();
      if (first !== undefined) contents.push(contentOf([line], null));
      continue;
    }
    lines.push(line);
    if (first === undefined || first === "#" || isComment(first)) continue;
    code = true;
    depth += line.depth;
    if (depth === 0 && (line.last === ";" || line.last === "}")) end();
  }
  end();
  return contents;
});

const BLANK = lineOf("", null);

const NONE: readonly number[] = [];

/** The declarations that a name stands for: those of the innermost scope that has some. */
export function declared(name: string, scope: Scope | null): readonly number[] {
  for (let within = scope; within !== null; within = within.outer) {
    const found = within.own.get(name);
    if (found !== undefined) return found;
  }
  return NONE;
}

/** @param name What the lines declare. */
export function contentOf(lines: readonly Line[], name: string | null): Content {
  return { lines, name, root: name === null || lines.some(({ tokens: [first = ""] }) => OUTSIDE.has(first)) };
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
      // `struct __align__(16) Unit` declares no `__align__`.
      if (token === "(" && depth === 0 && last !== "__align__") called = last;
      depth += opens(token) ? 1 : closes(token) ? -1 : 0;
    }
  }
  return called ?? last;
}
