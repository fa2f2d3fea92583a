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

/** The header that says which parts of a library are compiled, and how their names begin. */
const PARTS = "parts.h";
const PART = /^#if (WITH_\w+)$/;

/**
 * Puts a header and all that it includes into one text: each once, what is used before what uses it.
 *
 * @param read The text of a header, by the name that includes give it.
 * @param parts Names of the parts that are wanted: lines within `#if` of another one are left out.
 */
export function amalgamate(
  name: string,
  read: (name: string) => string,
  parts: ReadonlySet<string>,
): Amalgamation {
  const headers = new Map<string, Header>();
  const visit = (each: string): void => {
    if (headers.has(each) || each === PARTS) return;
    const header = headerOf(each, read(each), parts);
    for (const included of header.local) visit(included);
    headers.set(each, header);
  };
  visit(name);
  const all = [...headers.values()];
  return {
    system: [...new Set(all.flatMap(({ system }) => system))].sort(),
    text: all
      .filter(({ body }) => body.length > 0)
      .map(({ title, body }) => [...title, "", ...body, ""].join("\n"))
      .join("\n"),
  };
}

/** A header is a comment, its guard, its includes, and what it declares. */
function headerOf(name: string, text: string, parts: ReadonlySet<string>): Header {
  const lines = text.trimEnd().split("\n");
  const guard = lines.findIndex((line) => line.startsWith("#ifndef"));
  const macro = lines[guard]?.split(" ")[1];
  if (macro === undefined || lines[guard + 1] !== `#define ${macro}` || lines.at(-1) !== "#endif")
    throw new Error(`${name} has no guard`);
  const within = wanted(lines.slice(guard + 2, -1), parts);
  const included = within.flatMap((line) => (line.startsWith("#include ") ? [line.slice(9)] : []));
  return {
    title: lines.slice(0, guard),
    system: included.filter((each) => each.startsWith("<")).map((each) => each.slice(1, -1)),
    local: included.filter((each) => each.startsWith('"')).map((each) => each.slice(1, -1)),
    body: withoutBlanks(within.filter((line) => !line.startsWith("#include "))),
  };
}

/** The lines of wanted parts, and of none in particular; conditions on anything else stay. */
function wanted(lines: readonly string[], parts: ReadonlySet<string>): readonly string[] {
  /** For each condition that is open whether its lines are wanted; null where it is not about a part. */
  const open: (boolean | null)[] = [];
  return lines.filter((line) => {
    if (line.startsWith("#if")) {
      const part = PART.exec(line)?.[1];
      open.push(part === undefined ? null : parts.has(part));
      return part === undefined && !open.includes(false);
    }
    const kept = !open.includes(false);
    return line === "#endif" ? open.pop() === null && kept : kept;
  });
}

/** Without blank lines before the first, after the last, and beside another. */
function withoutBlanks(lines: readonly string[]): readonly string[] {
  const single = lines.filter((line, index) => line !== "" || (index > 0 && lines[index - 1] !== ""));
  return single.at(-1) === "" ? single.slice(0, -1) : single;
}
