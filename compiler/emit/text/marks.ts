import type { HelperOptions } from "handlebars";

// Templates yield text. What they say of it beside (which stage of the spec a part comes from) travels inside, between control
// characters, which no model holds; `readLines` takes them out again.

const OPEN = "\u0001";
const OPENED = "\u0002";
const CLOSE = "\u0003";

/** A piece of text without marks, and the line of the spec that it comes from. */
export interface Marked {
  readonly text: string;
  readonly source: number | null;
}

/** Text that comes from a line of the spec; null where that is not known. */
export function markStage(line: number | null, text: string): string {
  return line === null ? text : `${OPEN}${line}${OPENED}${text}${CLOSE}`;
}

/** Lines without marks. One that holds marks comes from where its first character does. */
export function readMarks(text: string): readonly Marked[] {
  const sources: number[] = [];
  return text.split("\n").map((marked) => {
    if (!marked.includes(OPEN) && !marked.includes(CLOSE))
      return { text: marked.trim(), source: sources.at(-1) ?? null };
    let line = "";
    let source: number | null = null;
    for (let at = 0; at < marked.length; at++) {
      const character = marked.charAt(at);
      if (character === OPEN) {
        const end = marked.indexOf(OPENED, at);
        sources.push(Number(marked.slice(at + 1, end)));
        at = end;
      } else if (character === CLOSE) sources.pop();
      else {
        if (line.trim() === "") source = sources.at(-1) ?? null;
        line += character;
      }
    }
    return { text: line.trim(), source };
  });
}

/** Block helpers of all templates. */
export const TEMPLATE_HELPERS = {
  /** `{{#specLine line}}…{{/specLine}}`: code of the stage at that line of the spec. */
  specLine(this: unknown, line: number | null, options: HelperOptions): string {
    return markStage(line, options.fn(this));
  },
} as const;
