import type { HelperOptions } from "handlebars";

// Templates yield text. What they say of it beside (which stage of the spec a part comes from) travels inside, between characters
// of Unicode's private use area, which no code holds; `parseText` takes them out again.

const OPEN = "\ue001";
const OPENED = "\ue002";
const CLOSE = "\ue003";

/** The marks in a text: group 1 is the line of the spec where a stage's part begins, undefined where it ends. */
export const MARK = /\ue001(\d+)\ue002|\ue003/g;

/** Whether a line holds a mark. */
export function isMarked(line: string): boolean {
  return line.includes(OPEN) || line.includes(CLOSE);
}

/** Text that comes from a line of the spec; null where that is not known. */
export function markStage(line: number | null, text: string): string {
  return line === null ? text : `${OPEN}${line}${OPENED}${text}${CLOSE}`;
}

/** Block helpers of all templates. */
export const TEMPLATE_HELPERS = {
  /** `{{#specLine line}}…{{/specLine}}`: code of the stage at that line of the spec. */
  specLine(this: unknown, line: number | null, options: HelperOptions): string {
    return markStage(line, options.fn(this));
  },
} as const;
