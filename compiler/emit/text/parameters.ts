import { type Line, lineOf } from "./line.ts";
import { type Content, contentOf, type Declaration, declared, once, type Scope } from "./module.ts";
import { closes, isComment, isName, opens, placedTokens } from "./tokens.ts";

/** What stands in parentheses behind a name, in a call or in a function's head. */
interface List {
  readonly name: string;
  /** Its items, as ranges of tokens. */
  readonly items: (readonly [from: number, to: number])[];
}

/** Inside which items a name stands: in the item `index` of a list behind `name`, and so on. */
type Place = readonly { readonly name: string; readonly index: number }[];

/** What is to be known of a declaration. */
interface Reading {
  readonly lists: readonly List[];
  /** The names before them, each once. */
  readonly called: readonly string[];
  /** Of a function that kernels call: the places where its body names each of its parameters. */
  readonly parameters: readonly (readonly Place[])[];
  /** The first token of each line, and what follows the last. */
  readonly starts: readonly number[];
  /** The declaration without some tokens, by their places. */
  readonly shortened: Map<string, Content>;
}

/**
 * Drops the parameters that a function does not need, and what its calls give for them: those that it does not name but to hand them
 * on to a function that does not need them. What a mask has no use for is handed on by nobody then, without a condition in any
 * template.
 *
 * @returns What becomes of a declaration among these.
 */
export function pruneParameters(declarations: readonly Declaration[]): (among: Declaration) => Content {
  const known = new Map<number, readonly boolean[]>();
  /** Which parameters stay of the function that a name stands for; of several with one name all. */
  const keptOf = (name: string, from: Scope): readonly boolean[] => {
    const [index, second] = declared(name, from);
    const declaration = index === undefined || second !== undefined ? undefined : declarations[index];
    if (index === undefined || declaration === undefined) return [];
    let kept = known.get(index);
    if (kept === undefined) {
      const { content, scope } = declaration;
      const { parameters } = read(content);
      // What a function hands on to itself only.
      known.set(
        index,
        parameters.map(() => false),
      );
      kept = parameters.map((places) =>
        places.some((place) => place.every((list) => keptOf(list.name, scope)[list.index] !== false)),
      );
      known.set(index, kept);
    }
    return kept;
  };
  return ({ content, scope }) => {
    const { called, lists } = read(content);
    if (!called.some((name) => keptOf(name, scope).includes(false))) return content;
    return without(
      content,
      lists.flatMap(({ name, items }) => droppedOf(items, keptOf(name, scope))),
    );
  };
}

/** A bracket that is open: a list, or without a name. */
interface Bracket extends List {
  begin: number;
  /** Brackets of types' arguments that are open: `array<f32, 4>`. */
  angles: number;
}

const read = once(({ name, lines }: Content): Reading => {
  const starts: number[] = [];
  const tokens: string[] = [];
  for (const line of lines) {
    starts.push(tokens.length);
    if (line.tokens[0] !== "#") tokens.push(...line.tokens.filter((token) => !isComment(token)));
  }
  const entry = tokens[0] === "@" || tokens.includes("__global__");
  const lists: List[] = [];
  const open: Bracket[] = [];
  const parameters: Place[][] = [];
  const named = new Map<string, Place[]>();
  tokens.forEach((token, at) => {
    const around = open.at(-1);
    if (opens(token)) {
      if (token === "{" && around === undefined && !entry)
        for (const [from, to] of lists.find((list) => list.name === name)?.items ?? []) {
          const parameter = nameOfParameter(tokens.slice(from, to));
          const places: Place[] = parameter === null ? [[]] : [];
          parameters.push(places);
          named.set(parameter ?? "", places);
        }
      const called = token === "(" ? nameBefore(tokens, at) : "";
      const bracket = { name: called, items: [], begin: at + 1, angles: 0 };
      if (called !== "") lists.push(bracket);
      open.push(bracket);
    } else if (around === undefined) return;
    else if (closes(token)) {
      endItem(around, at);
      open.pop();
    } else if (token === "," && around.angles === 0) endItem(around, at);
    else if (token === "<" && TYPES.has(tokens[at - 1] ?? "")) around.angles++;
    else if (token === ">" && around.angles > 0) around.angles--;
    else if (tokens[at - 1] !== ".")
      named
        .get(token)
        ?.push(
          open
            .filter((each) => each.name !== "")
            .map((list) => ({ name: list.name, index: list.items.length })),
        );
  });
  const called = [...new Set(lists.map((list) => list.name))];
  return { lists, called, parameters, starts: [...starts, tokens.length], shortened: new Map() };
});

function endItem(bracket: Bracket, at: number): void {
  if (at > bracket.begin) bracket.items.push([bracket.begin, at]);
  bracket.begin = at + 1;
}

/** Types whose arguments stand in lists. */
const TYPES: ReadonlySet<string> = new Set(["array", "ptr", "vec2", "vec3", "vec4", "MapTile"]);

/** The name before a parenthesis, or before the arguments of a template that stand there; none for what is a member. */
function nameBefore(tokens: readonly string[], at: number): string {
  const end = tokens[at - 1] === ">" ? tokens.lastIndexOf("<", at) : at;
  const name = tokens[end - 1] ?? "";
  return isName(name) && tokens[end - 2] !== "." ? name : "";
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

/** The tokens of the items that are not kept, and their commas: the one before what is dropped at the end, else the one after. */
function droppedOf(items: List["items"], kept: readonly boolean[]): readonly number[] {
  if (!kept.includes(false)) return [];
  const last = kept.lastIndexOf(true);
  return items.flatMap(([from, to], index) => {
    const comma = index < items.length - 1 ? [to] : [];
    if (kept[index] !== false) return index === last ? comma : [];
    return [...Array.from({ length: to - from }, (_, token) => from + token), ...comma];
  });
}

function without(content: Content, dropped: readonly number[]): Content {
  const { shortened, starts } = read(content);
  const key = dropped.join();
  let found = shortened.get(key);
  if (found === undefined) {
    const gone = new Set(dropped);
    const lines = content.lines.flatMap((line, index) => {
      const [first = 0, end = 0] = starts.slice(index, index + 2);
      return dropped.some((token) => first <= token && token < end)
        ? shorten(line, (token) => first + token < end && gone.has(first + token))
        : [line];
    });
    found = contentOf(lines, content.name);
    shortened.set(key, found);
  }
  return found;
}

/** A line without some of its tokens; nothing where none is left. */
function shorten({ text, source }: Line, isGone: (token: number) => boolean): readonly Line[] {
  const tokens = placedTokens(text);
  const left = tokens.map(({ at }, index) => (isGone(index) ? "" : text.slice(at, tokens[index + 1]?.at)));
  const line = left.join("").trim();
  return line === "" ? [] : [lineOf(line, source)];
}
