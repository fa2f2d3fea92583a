import { closes, isComment, opens, tokensOf } from "./tokens.ts";

/** A line of emitted text, without its indentation. */
export interface Line {
  readonly text: string;
  readonly tokens: readonly string[];
  /** How many more brackets it opens than it closes; those of namespaces and directives do not count. */
  readonly depth: number;
  /** The last token that is no comment. */
  readonly last: string | undefined;
  /** The line of the spec whose stage it belongs to; null for what no stage has for itself. */
  readonly source: number | null;
}

/** A line of the text that users get. */
export type EmittedLine = Pick<Line, "text" | "source">;

/** A function that knows what it gave for a key; it forgets all when keys become many: a process may compile for days. */
export function remember<Rest extends readonly unknown[], Value>(
  most: number,
  make: (key: string, ...rest: Rest) => Value,
): (key: string, ...rest: Rest) => Value {
  const values = new Map<string, Value>();
  return (key, ...rest) => {
    let value = values.get(key);
    if (value === undefined) {
      if (values.size >= most) values.clear();
      value = make(key, ...rest);
      values.set(key, value);
    }
    return value;
  };
}

/** Most lines of a text stand in others, too. */
const known = remember(20_000, (text) => read(text.trim()));

/** A line of code or comment. */
export function lineOf(text: string, source: number | null): Line {
  const line = known(text);
  return source === null ? line : { ...line, source };
}

function read(text: string): Line {
  const tokens = tokensOf(text);
  let depth = 0;
  let last: string | undefined;
  for (const token of tokens) {
    if (opens(token)) depth++;
    else if (closes(token)) depth--;
    else if (isComment(token)) continue;
    last = token;
  }
  if (tokens[0] === "namespace" || tokens[0] === "#") depth = 0;
  return { text, tokens, depth, last, source: null };
}
