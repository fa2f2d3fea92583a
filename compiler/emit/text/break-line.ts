import { type Line, lineOf } from "./line.ts";
import { closes, isComment, opens, placedTokens } from "./tokens.ts";

/** Columns of emitted text. */
export const WIDTH = 120;

/** Operators before which lines are broken, the loosest first. */
const OPERATORS: readonly (readonly string[])[] = [
  ["?"],
  [":"],
  ["||"],
  ["&&"],
  ["|", "&", "^"],
  ["==", "!=", "<", ">", "<=", ">="],
  ["+", "-"],
  ["*", "/", "%"],
];

/** Each level of brackets counts as more than any operator. */
const LEVEL = 16;

/** The cost of a place where every line is broken that is too long: before what a condition governs. */
const ALWAYS = -1;

/**
 * A line that is too long, in pieces: broken at its outermost bracket or loosest operator, after commas and before operators. A
 * line without a place to break stays whole.
 */
export function breakLine({ text, source }: Line, indent: number, continues: boolean): readonly Line[] {
  return breakCode(text, WIDTH - indent, continues).map((piece) => lineOf(piece, source));
}

/** What goes on with no sentence of the line before: nothing, `plan: …`, a new sentence. */
const PARAGRAPH = /^\/+(?:$| +\w+:| +[A-Z][a-z])/;

/** A comment that lists what stays together: `plan: tile_q 16, tile_k 32`. */
const LIST = /^[a-z]+: /;

/**
 * A comment that is too long: its words, and those of the lines after it that go on with its sentence.
 *
 * @returns The new lines, and how many of the old they stand for.
 */
export function wrapComment(
  first: Line,
  after: readonly Line[],
  width: number,
): { readonly lines: readonly Line[]; readonly taken: number } {
  const [, slashes = "//", begin = ""] = /^(\/+) *(.*)$/.exec(first.text) ?? [];
  const sentence = [begin];
  for (const { text } of after) {
    if (/[.:]$/.test(sentence.at(-1) ?? "") || !text.startsWith(`${slashes} `) || PARAGRAPH.test(text)) break;
    sentence.push(text.slice(slashes.length).trim());
  }
  const units = sentence.join(" ").split(LIST.test(begin) ? /(?<=,) / : " ");
  const wrapped = wrapAt(units, width - slashes.length - 1);
  return { lines: wrapped.map((text) => lineOf(`${slashes} ${text}`, first.source)), taken: sentence.length };
}

/** Words in lines of so many columns; one that is longer has its line. */
export function wrapAt(words: readonly string[], width: number): readonly string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of words) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = "";
    }
    line += line === "" ? word : ` ${word}`;
  }
  return [...lines, line];
}

interface Place {
  readonly at: number;
  readonly cost: number;
}

function breakCode(text: string, width: number, continues: boolean): readonly string[] {
  const places = breakPlaces(text);
  const fitting = places.filter(
    ({ at, cost }) => cost === ALWAYS || text.slice(0, at).trimEnd().length <= width,
  );
  // Where nothing fits, the first place that there is.
  const possible = fitting.length > 0 ? fitting : places.slice(0, 1);
  const least = Math.min(...possible.map(({ cost }) => cost));
  const place = possible.findLast(({ cost }) => cost === least);
  if (place === undefined) return [text];
  const rest = text.slice(place.at).trimStart();
  const first = text.slice(0, place.at).trimEnd();
  // What follows is indented at least as far as this line; the next round sees whether that is too far.
  return rest.length + (continues ? 0 : 4) <= width
    ? [first, rest]
    : [first, ...breakCode(rest, width - 4, true)];
}

function breakPlaces(text: string): readonly Place[] {
  const places: Place[] = [];
  let depth = 0;
  let angles = 0;
  let before = "";
  let governs = /^(?:else )?(?:if|for|while)\b/.test(text);
  for (const { text: token, at } of placedTokens(text)) {
    if (isComment(token)) break;
    // What a condition or a loop without a block governs.
    if (before === ")" && depth === 0 && governs) {
      if (token !== "{") places.push({ at, cost: ALWAYS });
      governs = false;
    }
    // Arguments of templates; comparisons stand between spaces.
    if (token === "<" && text[at - 1] !== " ") angles++;
    if (token === ">" && angles > 0 && text[at - 1] !== " ") angles--;
    if (closes(token)) depth--;
    const rank = OPERATORS.findIndex((operators) => operators.includes(token));
    const spaced = text[at - 1] === " " && text[at + token.length] === " ";
    if (rank >= 0 && spaced && before !== "") places.push({ at, cost: depth * LEVEL + 1 + rank });
    if (before === "," || (before === ";" && depth > 0)) places.push({ at, cost: (depth + angles) * LEVEL });
    if (before === "=" && depth === 0) places.push({ at, cost: 2 * LEVEL - 1 });
    if (opens(token)) depth++;
    before = token;
  }
  return places;
}
