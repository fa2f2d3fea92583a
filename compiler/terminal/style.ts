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

/** Control characters but line ends and tabs, and those that turn the direction of text or mark it. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const CONTROLS = /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;
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

/** A name within a line: one that holds a line end would begin a line of its own, and could pass for another message. */
export function inLine(name: string): string {
  return name.replace(/[\n\t]/g, "\uFFFD");
}

/** JSON, which may be shown too, escapes fewer characters by itself. */
export function printableJson(text: string): string {
  const escaped = (character: string): string =>
    `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return text.replace(/[\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, escaped);
}

export type Alignment = "left" | "right";

/** Of what people read; where it goes to a file or a pipe, what COLUMNS says, else 80. */
export function terminalWidth(): number {
  const { COLUMNS: columns = "" } = process.env;
  // Terminals that were never told their size say 0.
  return process.stdout.columns || (/^[1-9]\d{1,4}$/.test(columns) ? Number(columns) : 80);
}

/** Below this, a last column is not worth its room, and goes under its row. */
const LEAST_ROOM = 36;

/**
 * Rows as aligned columns, two spaces apart; a row that is shorter than others ends early. Where they do not fit, the last column is broken
 * into lines; what does not fit even then stands under its row.
 */
export function table(
  rows: readonly (readonly string[])[],
  alignment: readonly Alignment[] = [],
  indent = "",
  width = terminalWidth(),
): string {
  const widths: number[] = [];
  for (const row of rows)
    row.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, displayWidth(cell));
    });
  const upTo = (columns: number): number =>
    widths.slice(0, columns).reduce((sum, each) => sum + each + 2, indent.length);
  const fits = widths.findIndex((_, column) => upTo(column + 1) - 2 > width);
  const kept = fits < 0 ? widths.length : Math.max(1, fits);
  const aligned = (row: readonly string[], columns: number): string =>
    row
      .slice(0, columns)
      .map((cell, column) => {
        const padding = " ".repeat((widths[column] ?? 0) - displayWidth(cell));
        return alignment[column] === "right" ? padding + cell : cell + padding;
      })
      .join("  ");
  const inPlace = kept === widths.length - 1 && width - upTo(kept) >= LEAST_ROOM;
  const hang = " ".repeat(inPlace ? upTo(kept) : indent.length + 6);
  return rows
    .map((row) => {
      const head = (indent + aligned(row, kept)).trimEnd();
      const rest = breakLines(row.slice(kept), width - hang.length);
      if (rest.length === 0) return head;
      const first = inPlace ? `${indent}${aligned(row, kept)}  ${rest[0]}` : `${head}\n${hang}${rest[0]}`;
      return [first, ...rest.slice(1).map((line) => hang + line)].join("\n");
    })
    .join("\n");
}

/** A sentence in lines that fit; those after the first begin with `hang`. */
export function wrap(text: string, hang = "", width = terminalWidth()): string {
  const [, indent = "", sentence = ""] = /^( *)(.*)$/s.exec(text) ?? [];
  return indent + breakLines([sentence], width - hang.length).join(`\n${hang}`);
}

/** Cells one after the other, broken between them and where they have blanks: at double ones, if there are any. */
function breakLines(cells: readonly string[], width: number): readonly string[] {
  const lines: string[] = [];
  let open = false;
  for (const cell of cells) {
    // A whole cell has one colour as a rule; each of its lines gets it.
    const [, start = "", text = "", end = ""] = COLOURED.exec(cell) ?? ["", "", cell, ""];
    const gap = text.includes("  ") ? "  " : " ";
    for (const [index, piece] of text
      .split(gap)
      .filter((each) => each !== "")
      .entries()) {
      const between = index === 0 ? "  " : gap;
      const last = lines.at(-1);
      if (open && last !== undefined && displayWidth(last + between + piece) <= width)
        lines[lines.length - 1] = `${last}${between}${start}${piece}${end}`;
      else lines.push(`${start}${piece}${end}`);
      open = true;
    }
  }
  return lines;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: colours begin and end with an escape.
const COLOURED = /^(\x1b\[\d+m)([^\x1b]*)(\x1b\[\d+m)$/;

export function displayWidth(text: string): number {
  return [...stripVTControlCharacters(text)].length;
}
