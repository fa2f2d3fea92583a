import { breakLine, WIDTH, wrapComment } from "./break-line.ts";
import type { EmittedLine, Line } from "./line.ts";
import { closes, isComment, opens } from "./tokens.ts";

const STEP = 2;

/** A bracket that is open: the indentation of lines inside, and of a line that begins with its end. */
interface Bracket {
  readonly brace: boolean;
  readonly inside: number;
  readonly outside: number;
  /** The indentation of the line that the argument which is open begins; null where it begins within a line. */
  argument: number | null;
}

interface Placed {
  readonly line: Line;
  indent: number;
  /** Goes on with what the line before began, inside no brace of its own. */
  readonly continues: boolean;
}

/**
 * The lines of one declaration with their indentation, which follows from brackets alone: templates and partials need not care. A
 * statement goes on at two more columns, the head of a block at four, so that it does not look like its body.
 */
export function indentLines(lines: readonly Line[]): readonly EmittedLine[] {
  const placed = place(lines);
  const broken = placed.some(isTooLong) ? breakLines(placed) : lines;
  const changed =
    broken.length !== lines.length || broken.some(({ text }, index) => text !== lines[index]?.text);
  if (changed) return indentLines(broken);
  return placed.map(({ line, indent }) => ({ text: " ".repeat(indent) + line.text, source: line.source }));
}

function isTooLong({ line, indent }: Placed): boolean {
  return indent + line.text.length > WIDTH && line.tokens[0] !== "#";
}

/** Lines in which those that are too long are broken, where they can be. */
function breakLines(placed: readonly Placed[]): readonly Line[] {
  const lines = placed.map(({ line }) => line);
  let done = 0;
  return placed.flatMap((each, index) => {
    const { line, indent, continues } = each;
    if (index < done) return [];
    if (!isTooLong(each)) return [line];
    if (!line.text.startsWith("//")) return breakLine(line, indent, continues);
    const comment = wrapComment(line, lines.slice(index + 1), WIDTH - indent);
    done = index + comment.taken;
    return comment.lines;
  });
}

function place(lines: readonly Line[]): readonly Placed[] {
  const placed: Placed[] = [];
  const brackets: Bracket[] = [];
  // The statement that is open: its first line, its indentation, whether it has code yet, and its last token so far.
  let start = 0;
  let base = 0;
  let begun = false;
  let before = "";
  for (const line of lines) {
    const { tokens, last = "" } = line;
    const [first = ""] = tokens;
    const margin = first === "" || first === "#";
    const indent = margin ? 0 : indentOf(first, before, brackets.at(-1), begun ? base + STEP : null);
    placed.push({ line, indent, continues: begun && !closes(first) && !margin });
    if (margin || isComment(first)) continue;
    if (!begun) base = indent;
    begun = true;
    before = last;
    for (const token of tokens) {
      if (opens(token)) {
        const outside = token === "{" ? base : indent;
        brackets.push({ brace: token === "{", inside: outside + STEP, outside, argument: null });
      } else if (closes(token)) brackets.pop();
    }
    // Attributes and the parameters of templates stand over what they belong to.
    const prefix = (first === "@" && last === ")") || (first === "template" && last === ">");
    if (!(prefix || [";", "{", "}", ","].includes(last)) || brackets.at(-1)?.brace === false) continue;
    if (last === "{") for (const each of placed.slice(start)) each.indent += each.continues ? STEP : 0;
    start = placed.length;
    begun = false;
  }
  return placed;
}

/** @param goesOn Where the statement goes on, if it has begun. */
function indentOf(first: string, before: string, around: Bracket | undefined, goesOn: number | null): number {
  if (closes(first)) return around?.outside ?? 0;
  if (around === undefined || around.brace) return goesOn ?? around?.inside ?? 0;
  // An argument of its own, or the rest of one.
  if (before === "," || opens(before)) {
    around.argument = around.inside;
    return around.inside;
  }
  return around.argument === null ? around.inside : around.argument + STEP;
}
