import { LINE_WIDTH, lastLineLength, writeLine } from "./format-line.ts";
import type { Block, Entry, Lexeme, Unit } from "./format-units.ts";

const STEP = "  ";

/** Writes the entries of a file or block, a line each, with the comments after them aligned. */
export function layOut(entries: readonly Entry[], indent: string): string {
  const widths = alignment(entries);
  const lines = entries.map((entry, index) => ({
    text: entry.unit === null ? "" : writeUnit(entry.unit, indent, widths[index] ?? 0),
    entry,
  }));
  const columns = commentColumns(lines);
  return lines
    .map(({ text, entry }, index) => {
      const gap = entry.blankBefore && index > 0 ? "\n" : "";
      if (entry.unit === null) return gap + writeLine(entry.comments, indent, indent);
      if (entry.comments.length === 0) return gap + text;
      const padding = " ".repeat(Math.max(2, (columns[index] ?? 0) - lastLineLength(text)));
      return gap + writeLine(entry.comments, text + padding, indent);
    })
    .join("\n");
}

/** Neighbours without a blank line between them: what is aligned with one another. */
function runs(
  entries: readonly Entry[],
  belongs: (entry: Entry, before: Entry | undefined) => boolean,
): number[] {
  let run = 0;
  return entries.map((entry, index) => {
    if (entry.blankBefore || !belongs(entry, entries[index - 1])) run += 1;
    return run;
  });
}

/** The greatest of the values of each entry's run. */
function greatest(run: readonly number[], values: readonly number[]): number[] {
  const best = new Map<number, number>();
  for (const [index, key] of run.entries()) best.set(key, Math.max(best.get(key) ?? 0, values[index] ?? 0));
  return run.map((key) => best.get(key) ?? 0);
}

/** How wide the first column of each entry is: the longest word of its run. */
function alignment(entries: readonly Entry[]): number[] {
  const run = runs(entries, (entry, before) => before?.unit == null || entry.unit?.kind === before.unit.kind);
  return greatest(
    run,
    entries.map(({ unit }) => (unit === null ? 0 : columnOf(unit).length)),
  );
}

/** The word that is padded: of `use NAME at …` the name. */
function columnOf(unit: Unit): string {
  const word = unit.kind === "use" ? unit.lexemes[1] : unit.lexemes[0];
  return word?.kind === "token" ? word.text : "";
}

function commentColumns(lines: readonly { text: string; entry: Entry }[]): number[] {
  const entries = lines.map(({ entry }) => entry);
  const run = runs(
    entries,
    (entry, before) => entry.comments.length > 0 && (before?.comments.length ?? 0) > 0,
  );
  const lengths = lines.map(({ text, entry }) => (entry.comments.length > 0 ? lastLineLength(text) + 2 : 0));
  return greatest(run, lengths);
}

function writeUnit(unit: Unit, indent: string, width: number): string {
  switch (unit.kind) {
    case "attention":
    case "stack":
    case "tune":
      return writeDeclaration(unit, indent);
    case "const":
    case "stage":
      return writeLine(unit.lexemes, indent, indent + STEP + STEP);
    case "property":
      return writeColumns(unit, 1, indent, width + 2);
    case "clause":
      return writeColumns(unit, 1, indent, width + 1);
    case "use":
      return writeColumns(unit, 2, indent, width + 1);
    case "section":
      return writeSection(unit, indent, width + 2);
  }
}

/** Pads the `count`-th word, the last of the first column, so that what follows is aligned. */
function writeColumns(unit: Unit, count: number, indent: string, width: number): string {
  const continuation = indent + STEP + STEP;
  const first = unit.lexemes.slice(0, count);
  if (first.some((lexeme) => lexeme.kind !== "token")) return writeLine(unit.lexemes, indent, continuation);
  const lead = writeLine(first, indent, continuation);
  const missing = width - (first.at(-1)?.text.length ?? 0);
  return writeLine(unit.lexemes.slice(count), lead + " ".repeat(Math.max(1, missing)), continuation);
}

function writeDeclaration(unit: Unit, indent: string): string {
  const header = writeHeader(unit.lexemes, indent);
  const block = unit.block;
  if (block === null) return header;
  const short = block.oneLine || block.entries.length === 0 ? writeShort(block, "  ") : null;
  if (short !== null && lastLineLength(header) + short.length <= LINE_WIDTH) return header + short;
  return header + writeLong(block, indent);
}

function writeHeader(lexemes: readonly Lexeme[], indent: string): string {
  const header = writeLine(lexemes, indent, indent + STEP + STEP);
  return lexemes.at(-1)?.kind === "line-comment" ? `${header}\n${indent}` : `${header} `;
}

function writeSection(unit: Unit, indent: string, width: number): string {
  const block = unit.block;
  if (block === null) return "";
  const short = writeShort(block, "   ");
  const [name, ...others] = unit.lexemes;
  if (short !== null && name !== undefined && others.length === 0) {
    const line = indent + name.text.padEnd(width) + short;
    if (line.length <= LINE_WIDTH) return line;
  }
  return writeHeader(unit.lexemes, indent) + writeLong(block, indent);
}

/** A block on one line, or null when it holds something that needs lines of its own. */
function writeShort(block: Block, separator: string): string | null {
  if (block.opening.length > 0) return null;
  const parts: string[] = [];
  for (const { unit, comments } of block.entries) {
    if (unit === null || comments.length > 0) return null;
    const part = writeInline(unit);
    if (part === null) return null;
    parts.push(part);
  }
  return parts.length === 0 ? "{ }" : `{ ${parts.join(separator)} }`;
}

function writeInline(unit: Unit): string | null {
  if (unit.lexemes.some((lexeme) => lexeme.kind === "line-comment" || lexeme.text.includes("\n")))
    return null;
  const text = writeLine(unit.lexemes, "", "");
  if (text.includes("\n")) return null;
  if (unit.block === null) return text;
  const inner = writeShort(unit.block, "   ");
  return inner === null ? null : `${text} ${inner}`;
}

function writeLong(block: Block, indent: string): string {
  const opening = block.opening.length === 0 ? "" : `  ${writeLine(block.opening, "", indent + STEP)}`;
  const body = block.entries.length === 0 ? "" : `${layOut(block.entries, indent + STEP)}\n`;
  return `{${opening}\n${body}${indent}}`;
}
