/** A command of a `console` block, and what the page says that it prints. */
export interface Exchange {
  readonly command: string;
  readonly expected: string;
}

/** Lines that begin with `$ ` are commands, the lines after each what it prints. A backslash at a line's end goes on. */
export function readExchanges(text: string): readonly Exchange[] {
  const exchanges: { command: string; lines: string[] }[] = [];
  const joined = text.replace(/\\\n\s*/g, "");
  for (const line of joined.trimEnd().split("\n")) {
    if (line.startsWith("$ ")) {
      exchanges.push({ command: line.slice(2).replace(/\s+#.*$/, ""), lines: [] });
    } else {
      const last = exchanges.at(-1);
      if (last === undefined) throw new Error(`output before the first command: ${line}`);
      last.lines.push(line);
    }
  }
  return exchanges.map(({ command, lines }) => ({ command, expected: lines.join("\n") }));
}

/**
 * Whether a program printed what a page shows. A line `…` stands for any lines, `…` within a line for any text; runs of spaces count as
 * one, since columns follow their widest entry.
 */
export function matches(actual: string, expected: string): boolean {
  return new RegExp(`^${pattern(expected)}$`).test(`${normal(actual)}\n`);
}

function pattern(expected: string): string {
  const text = normal(expected);
  if (text === "") return "\\n*";
  return text
    .split("\n")
    .map((line) => (line === "…" ? "(?:.*\\n)*?" : `${line.split("…").map(escaped).join(".*?")}\\n`))
    .join("");
}

function normal(text: string): string {
  return text
    .split("\n")
    .map((line) => line.replace(/[ \t]+/g, " ").trim())
    .join("\n")
    .trim();
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");
}
