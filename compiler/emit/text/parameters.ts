import { closes, isComment, isName, opens, placedTokens } from "./tokens.ts";
import { type Declaration, declarationOf, type Line, lineOf, type Node } from "./tree.ts";

/** A token, and where it stands in a declaration. */
interface Placed {
  readonly text: string;
  readonly line: number;
  readonly at: number;
}

/** For a function: which of its parameters stay. */
type Kept = readonly boolean[];

/**
 * Drops the parameters that a function does not name, and what its calls give for them. What a mask does not need is handed on by no
 * function then, without a condition in any template.
 */
export function pruneParameters(nodes: readonly Node[]): readonly Node[] {
  let current = nodes;
  for (;;) {
    const next = pruneScope(current, new Map());
    if (next === current) return current;
    current = next;
  }
}

function pruneScope(nodes: readonly Node[], outer: ReadonlyMap<string, Kept>): readonly Node[] {
  const functions = new Map(outer);
  const own = new Set<string>();
  for (const node of nodes) {
    if (node.kind === "scope" || node.name === null) continue;
    // Of functions with one name none is touched.
    const kept = own.has(node.name) ? null : keptParameters(node);
    own.add(node.name);
    if (kept === null) functions.delete(node.name);
    else functions.set(node.name, kept);
  }
  let changed = false;
  const pruned = nodes.map((node): Node => {
    if (node.kind === "scope") {
      const children = pruneScope(node.children, functions);
      changed ||= children !== node.children;
      return children === node.children ? node : { ...node, children };
    }
    const rewritten = rewrite(node, functions);
    changed ||= rewritten !== node;
    return rewritten;
  });
  return changed ? pruned : nodes;
}

/** What is known of declarations: each is asked for in every round, and in other kernels again. */
const known = new WeakMap<object, Kept | null>();

/** Which parameters of a function its body names; null where all are, or where it is none, or called from outside. */
function keptParameters(declaration: Declaration): Kept | null {
  let kept = known.get(declaration.content);
  if (kept === undefined) {
    kept = isFunction(declaration) ? findKept(declaration) : null;
    known.set(declaration.content, kept);
  }
  return kept;
}

/** Constants, which most declarations are, end with a semicolon. */
function isFunction({ lines }: Declaration): boolean {
  return lines.at(-1)?.text.endsWith("}") ?? false;
}

function findKept({ name, lines }: Declaration): Kept | null {
  const tokens = lines.flatMap((line) =>
    line.tokens[0] === "#" ? [] : line.tokens.filter((token) => !isComment(token)),
  );
  const body = tokens.indexOf("{");
  const start = tokens.indexOf("(", name === null ? 0 : tokens.indexOf(name));
  if (body < 0 || start < 0 || start > body || tokens.includes("__global__") || tokens[0] === "@")
    return null;
  const end = closingOf(tokens, start);
  const used = new Set(tokens.filter((_, index) => index > body && tokens[index - 1] !== "."));
  const kept = listOf(tokens, start, end).map(([from, to]) => {
    const parameter = nameOfParameter(tokens.slice(from, to));
    return parameter === null || used.has(parameter);
  });
  return kept.includes(false) ? kept : null;
}

/** `row: i32`, `const float* from`, `float (&y)[4]`; null for a lone type. */
function nameOfParameter(tokens: readonly string[]): string | null {
  const colon = tokens.indexOf(":");
  if (colon > 0) return tokens[colon - 1] ?? null;
  const bracket = tokens.findIndex((token) => token === "[" || token === ")");
  const before = bracket < 0 ? tokens : tokens.slice(0, bracket);
  const last = before.at(-1) ?? "";
  return isName(last) && before.filter(isName).length > 1 ? last : null;
}

/** Where the bracket that opens at `start` closes. */
function closingOf(tokens: readonly string[], start: number): number {
  let depth = 0;
  for (let at = start; at < tokens.length; at++) {
    const token = tokens[at] ?? "";
    depth += opens(token) ? 1 : closes(token) ? -1 : 0;
    if (depth === 0) return at;
  }
  return tokens.length;
}

/** The items of a list between brackets, as ranges of tokens. */
function listOf(
  tokens: readonly string[],
  start: number,
  end: number,
): (readonly [from: number, to: number])[] {
  const items: (readonly [number, number])[] = [];
  let from = start + 1;
  let depth = 0;
  let angles = 0;
  for (let at = from; at <= end; at++) {
    const token = tokens[at] ?? "";
    if (at === end || (token === "," && depth === 0 && angles === 0)) {
      if (at > from) items.push([from, at]);
      from = at + 1;
    } else if (opens(token)) depth++;
    else if (closes(token)) depth--;
    else if (token === "<" && TYPES.has(tokens[at - 1] ?? "")) angles++;
    else if (token === ">" && angles > 0) angles--;
  }
  return items;
}

/** Types whose arguments stand in lists. */
const TYPES: ReadonlySet<string> = new Set(["array", "ptr", "vec2", "vec3", "vec4", "MapTile"]);

/** A declaration without the parameters that are dropped, here and in calls. */
function rewrite(declaration: Declaration, functions: ReadonlyMap<string, Kept>): Declaration {
  const { lines, names } = declaration;
  if (!names.some((name) => functions.has(name))) return declaration;
  const rewritten: Line[] = [];
  let changed = false;
  for (let index = 0; index < lines.length; index++) {
    const line = lines[index];
    if (line === undefined) continue;
    if (line.tokens[0] === "#" || !line.names.some((name) => functions.has(name))) {
      rewritten.push(line);
      continue;
    }
    // A call ends where its parentheses do.
    let end = index;
    for (let open = parentheses(line); open > 0 && end + 1 < lines.length; end++)
      open += parentheses(lines[end + 1]);
    const part = lines.slice(index, end + 1);
    const kept = rewriteLines(part, functions);
    changed ||= kept !== part;
    rewritten.push(...kept);
    index = end;
  }
  return changed ? declarationOf(rewritten, () => declaration.name) : declaration;
}

/** How many more parentheses a line opens than it closes. */
function parentheses(line: Line | undefined): number {
  let open = 0;
  for (const token of line?.tokens ?? []) open += token === "(" ? 1 : token === ")" ? -1 : 0;
  return open;
}

function rewriteLines(lines: readonly Line[], functions: ReadonlyMap<string, Kept>): readonly Line[] {
  const placed = lines.flatMap((line, index) =>
    line.tokens[0] === "#"
      ? []
      : placedTokens(line.text).flatMap(({ text, at }): Placed[] =>
          isComment(text) ? [] : [{ text, line: index, at }],
        ),
  );
  const tokens = placed.map(({ text }) => text);
  const dropped = new Set<number>();
  tokens.forEach((token, index) => {
    const kept = functions.get(token);
    if (kept === undefined || tokens[index - 1] === ".") return;
    let start = index + 1;
    if (tokens[start] === "<") start = tokens.indexOf(">", start) + 1;
    if (tokens[start] !== "(") return;
    dropItems(listOf(tokens, start, closingOf(tokens, start)), kept, dropped);
  });
  return dropped.size === 0 ? lines : withoutTokens(lines, placed, dropped);
}

/** Marks the items that are not kept, and their commas. */
function dropItems(items: readonly (readonly [number, number])[], kept: Kept, dropped: Set<number>): void {
  const last = kept.lastIndexOf(true);
  items.forEach(([from, to], index) => {
    if (kept[index] !== false) {
      // The comma before what is dropped at the end.
      if (index === last && index < items.length - 1) dropped.add(to);
      return;
    }
    for (let at = from; at < to; at++) dropped.add(at);
    if (index < items.length - 1) dropped.add(to);
  });
}

function withoutTokens(
  lines: readonly Line[],
  placed: readonly Placed[],
  dropped: ReadonlySet<number>,
): readonly Line[] {
  const spans = new Map<number, (readonly [from: number, to: number])[]>();
  placed.forEach(({ line, at, text }, index) => {
    if (!dropped.has(index)) return;
    const next = placed[index + 1];
    const to = next?.line === line ? next.at : at + text.length;
    spans.set(line, [...(spans.get(line) ?? []), [at, to]]);
  });
  return lines.flatMap((line, index) => {
    const removed = spans.get(index);
    if (removed === undefined) return [line];
    let text = "";
    let at = 0;
    for (const [from, to] of removed) {
      text += line.text.slice(at, from);
      at = to;
    }
    text = (text + line.text.slice(at)).trim();
    return text === "" ? [] : [lineOf(text, line.source)];
  });
}
