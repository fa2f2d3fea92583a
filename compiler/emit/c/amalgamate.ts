/** One header of a C library, taken apart. */
interface Header {
  /** What its head says it is. */
  readonly title: readonly string[];
  /** Headers of the system, and of the library, that it includes. */
  readonly system: readonly string[];
  readonly local: readonly string[];
  readonly body: readonly string[];
}

/** A library's headers as one text. */
export interface Amalgamation {
  /** Headers of the system that it needs: `stdint.h`. */
  readonly system: readonly string[];
  readonly text: string;
}

/**
 * Puts a header and all that it includes into one text: each once, what is used before what uses it.
 *
 * @param read The text of a header, by the name that includes give it.
 */
export function amalgamate(name: string, read: (name: string) => string): Amalgamation {
  const parts = new Map<string, Header>();
  const visit = (each: string): void => {
    if (parts.has(each)) return;
    const header = headerOf(each, read(each));
    for (const included of header.local) visit(included);
    parts.set(each, header);
  };
  visit(name);
  const headers = [...parts.values()];
  return {
    system: [...new Set(headers.flatMap(({ system }) => system))].sort(),
    text: headers.map(({ title, body }) => [...title, "", ...body, ""].join("\n")).join("\n"),
  };
}

/** A header is a comment, its guard, its includes, and what it declares. */
function headerOf(name: string, text: string): Header {
  const lines = text.trimEnd().split("\n");
  const guard = lines.findIndex((line) => line.startsWith("#ifndef"));
  const macro = lines[guard]?.split(" ")[1];
  if (macro === undefined || lines[guard + 1] !== `#define ${macro}` || lines.at(-1) !== "#endif")
    throw new Error(`${name} has no guard`);
  const within = lines.slice(guard + 2, -1);
  const included = within.flatMap((line) => (line.startsWith("#include ") ? [line.slice(9)] : []));
  return {
    title: lines.slice(0, guard),
    system: included.filter((each) => each.startsWith("<")).map((each) => each.slice(1, -1)),
    local: included.filter((each) => each.startsWith('"')).map((each) => each.slice(1, -1)),
    body: withoutEnds(within.filter((line) => !line.startsWith("#include "))),
  };
}

/** Without blank lines before the first and after the last. */
function withoutEnds(lines: readonly string[]): readonly string[] {
  const first = lines.findIndex((line) => line !== "");
  const last = lines.findLastIndex((line) => line !== "");
  return lines.slice(first, last + 1);
}
