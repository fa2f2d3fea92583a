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
