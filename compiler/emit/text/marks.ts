import type { HelperOptions } from "handlebars";
import { type Line, lineOf } from "./line.ts";

// Templates yield text. What they say of it beside (which stage of the spec a part comes from) travels inside, between control
// characters, which no model holds; `readLines` takes them out again.

const OPEN = "\u0001";
const OPENED = "\u0002";
const CLOSE = "\u0003";
const MARK = new RegExp(`(${OPEN}\\d+${OPENED}|${CLOSE})`);

/** Text that comes from a line of the spec; null where that is not known. */
export function markStage(line: number | null, text: string): string {
  return line === null ? text : `${OPEN}${line}${OPENED}${text}${CLOSE}`;
}

/** Lines without marks. One that holds marks comes from where its first character does. */
export function readLines(text: string): readonly Line[] {
  const lines: Line[] = [];
  const sources: number[] = [];
  let line = "";
  let source: number | null = null;
  for (const part of text.split(MARK)) {
    if (part.startsWith(OPEN)) sources.push(Number(part.slice(1, -1)));
    else if (part === CLOSE) sources.pop();
    else
      part.split("\n").forEach((piece, index) => {
        if (index > 0) {
          lines.push(lineOf(line, source));
          line = "";
        }
        if (line.trim() === "") source = sources.at(-1) ?? null;
        line += piece;
      });
  }
  return [...lines, lineOf(line, source)];
}

/** Block helpers of all templates. */
export const TEMPLATE_HELPERS = {
  /** `{{#specLine line}}…{{/specLine}}`: code of the stage at that line of the spec. */
  specLine(this: unknown, line: number | null, options: HelperOptions): string {
    return markStage(line, options.fn(this));
  },
} as const;
