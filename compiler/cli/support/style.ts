import { stripVTControlCharacters } from "node:util";

/** How text is set off from other text; without colour every function returns its argument. */
export interface Style {
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly red: (text: string) => string;
  readonly green: (text: string) => string;
  readonly yellow: (text: string) => string;
  readonly cyan: (text: string) => string;
  readonly colour: boolean;
}

export function createStyle(colour: boolean): Style {
  const sequence = (open: number, close: number) => (text: string) =>
    colour && text !== "" ? `\u001b[${open}m${text}\u001b[${close}m` : text;
  return {
    bold: sequence(1, 22),
    dim: sequence(2, 22),
    red: sequence(31, 39),
    green: sequence(32, 39),
    yellow: sequence(33, 39),
    cyan: sequence(36, 39),
    colour,
  };
}

/** `NO_COLOR` wins over `FORCE_COLOR`, which wins over what the stream is (see no-color.org). */
export function wantsColour(stream: NodeJS.WriteStream, environment: NodeJS.ProcessEnv): boolean {
  const { NO_COLOR: never, FORCE_COLOR: always, TERM: terminal } = environment;
  if (never !== undefined && never !== "") return false;
  if (always !== undefined) return always !== "0";
  return stream.isTTY === true && terminal !== "dumb";
}

/** Control characters but line ends and tabs, and those that turn the direction of text. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const CONTROLS = /[\0-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;
/** The sequences with which styles and diagnostics set text off, and no others. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: an escape begins each.
const COLOURS = /(\x1b\[(?:0|1|2|22|31|32|33|34|36|39)m)/;

/**
 * Text as a terminal may see it: names of files, tensors and devices may hold anything, but only our own colours reach it, and only where
 * there are colours.
 */
export function printable(text: string, colour: boolean): string {
  const parts = colour ? text.split(COLOURS) : [text];
  // Every other part is what separates: a colour.
  return parts.map((part, index) => (index % 2 === 1 ? part : part.replace(CONTROLS, "\uFFFD"))).join("");
}

/** JSON, which may be shown too, escapes fewer characters by itself. */
export function printableJson(text: string): string {
  const escaped = (character: string): string =>
    `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return text.replace(/[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, escaped);
}

export type Alignment = "left" | "right";

/** Rows as aligned columns, two spaces apart; a row that is shorter than others ends early. */
export function table(
  rows: readonly (readonly string[])[],
  alignment: readonly Alignment[] = [],
  indent = "",
): string {
  const widths: number[] = [];
  for (const row of rows)
    row.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, displayWidth(cell));
    });
  return rows
    .map((row) => {
      const cells = row.map((cell, column) => {
        const padding = " ".repeat((widths[column] ?? 0) - displayWidth(cell));
        return alignment[column] === "right" ? padding + cell : cell + padding;
      });
      return (indent + cells.join("  ")).trimEnd();
    })
    .join("\n");
}

export function displayWidth(text: string): number {
  return [...stripVTControlCharacters(text)].length;
}
