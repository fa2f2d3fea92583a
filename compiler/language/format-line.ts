import type { Lexeme } from "./format-units.ts";
import { isOneOf, MASK_WORDS, MODIFIER_WORDS } from "./words.ts";

/** The width that lines are kept within where they can be. */
export const LINE_WIDTH = 100;

const OPERATORS = ["+", "-", "*", "/"];

/** Whether a `-` at this place is a sign. */
function isSign(lexeme: Lexeme, before: Lexeme | undefined): boolean {
  return lexeme.text === "-" && (before === undefined || [...OPERATORS, "(", ",", "="].includes(before.text));
}

function needsSpace(before: Lexeme, lexeme: Lexeme, beforeIsSign: boolean): boolean {
  if (before.kind !== "token") return ![",", ")"].includes(lexeme.text);
  if (before.text === "(" || before.text === ".." || beforeIsSign) return false;
  if ([")", ",", ".."].includes(lexeme.text)) return false;
  return !(before.text === "rsqrt" && lexeme.text === "(");
}

/** Where a long line may be broken: between modifiers, mask terms, and the values of a list. */
function mayBreak(before: Lexeme, lexeme: Lexeme): boolean {
  if (before.text === "," || before.kind !== "token") return true;
  if (OPERATORS.includes(lexeme.text)) return true;
  return isOneOf(lexeme.text, MODIFIER_WORDS) || isOneOf(lexeme.text, MASK_WORDS);
}

/** The width of what must stay together from a place on. A blank more or less does not matter. */
function chunkWidth(lexemes: readonly Lexeme[], from: number): number {
  let width = -1;
  for (let index = from; index < lexemes.length; index += 1) {
    const lexeme = lexemes[index];
    const before = lexemes[index - 1];
    if (lexeme === undefined || (index > from && before !== undefined && mayBreak(before, lexeme))) break;
    // A comment of several lines: only its first line shares this one.
    const firstLine = lexeme.text.split("\n")[0] ?? "";
    width += firstLine.length + 1;
    if (firstLine.length < lexeme.text.length) break;
  }
  return width;
}

/**
 * Writes lexemes one after the other, blanks as the language is written, broken where the line gets too long and after
 * every line comment.
 * @param lead what the first line begins with, indentation included
 */
export function writeLine(lexemes: readonly Lexeme[], lead: string, continuation: string): string {
  const lines: string[] = [];
  let line = lead;
  let before: Lexeme | undefined;
  let sign = false;
  // The last token before comments decides whether a `-` is a sign.
  let lastToken: Lexeme | undefined;
  for (const [index, lexeme] of lexemes.entries()) {
    const forced = before?.kind === "line-comment";
    const space = before !== undefined && needsSpace(before, lexeme, sign) ? " " : "";
    const breakable = before !== undefined && mayBreak(before, lexeme);
    if (
      forced ||
      (breakable && lastLineLength(line) + space.length + chunkWidth(lexemes, index) > LINE_WIDTH)
    ) {
      lines.push(line);
      line = continuation + lexeme.text;
    } else line += space + lexeme.text;
    sign = lexeme.kind === "token" ? isSign(lexeme, lastToken) : false;
    if (lexeme.kind === "token") lastToken = lexeme;
    before = lexeme;
  }
  lines.push(line);
  return lines.map((each) => each.trimEnd()).join("\n");
}

export function lastLineLength(text: string): number {
  return text.length - (text.lastIndexOf("\n") + 1);
}
