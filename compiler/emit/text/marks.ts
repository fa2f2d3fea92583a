import type { HelperOptions } from "handlebars";
import { type Line, lineOf, remember } from "./line.ts";

// Templates yield text. What they say of it beside (which stage of the spec a part comes from) travels inside, between control
// characters, which no model holds; `readParagraphs` takes them out again.

const OPEN = "\u0001";
const OPENED = "\u0002";
const CLOSE = "\u0003";
const MARK = new RegExp(`(${OPEN}\\d+${OPENED}|${CLOSE})`);

/** Text that comes from a line of the spec; null where that is not known. Blank lines around it are nobody's. */
export function markStage(line: number | null, text: string): string {
  return line === null
    ? text
    : text.replace(/\S(?:.*\S)?/s, (code) => `${OPEN}${line}${OPENED}${code}${CLOSE}`);
}

/** Lines between blank ones. */
export interface Paragraph {
  /** The same number for the same text that comes from the same lines of the spec. */
  readonly id: number;
  readonly lines: readonly Line[];
  /** How many more brackets they open than they close. */
  readonly depth: number;
  /** The lines of the spec that what follows comes from, the innermost last. */
  readonly sources: readonly number[];
}

/** Text without marks, paragraph by paragraph. */
export function readParagraphs(text: string): readonly Paragraph[] {
  let sources: readonly number[] = [];
  return text.split("\n\n").map((paragraph) => {
    const found = paragraphOf(`${sources.join()}\n${paragraph}`, paragraph, sources);
    sources = found.sources;
    return found;
  });
}

let count = 0;

/** Most paragraphs of a text stand in others, too. A line that holds marks comes from where its first character does. */
const paragraphOf = remember(5000, (_key, text: string, before: readonly number[]): Paragraph => {
  const sources = [...before];
  const lines = text.split("\n").map((line) => {
    let code = "";
    let source: number | null = null;
    for (const part of line.split(MARK)) {
      if (part.startsWith(OPEN)) sources.push(Number(part.slice(1, -1)));
      else if (part === CLOSE) sources.pop();
      else {
        if (code.trim() === "") source = sources.at(-1) ?? null;
        code += part;
      }
    }
    return lineOf(code, source);
  });
  const depth = lines.reduce((sum, line) => sum + line.depth, 0);
  return { id: count++, lines, depth, sources };
});

/** Block helpers of all templates. */
export const TEMPLATE_HELPERS = {
  /** `{{#specLine line}}…{{/specLine}}`: code of the stage at that line of the spec. */
  specLine(this: unknown, line: number | null, options: HelperOptions): string {
    return markStage(line, options.fn(this));
  },
} as const;
