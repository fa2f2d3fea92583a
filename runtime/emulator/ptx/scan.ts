import { EmulatorError } from "../errors.ts";

/**
 * Cursor over PTX text with comments blanked out; line numbers stay those of the original. Statements of PTX end in `;`,
 * most directives at the end of their line (PTX ISA 9.0, section 4.2).
 */
export class Scanner {
  readonly text: string;
  position = 0;
  private lineAt = 0;
  private lineNumber = 1;

  constructor(source: string) {
    this.text = blankComments(source);
  }

  /** Line number of a position; positions must be asked in rising order. */
  line(position = this.position): number {
    if (position < this.lineAt) {
      this.lineAt = 0;
      this.lineNumber = 1;
    }
    for (; this.lineAt < position; this.lineAt++) {
      if (this.text.charCodeAt(this.lineAt) === 10) this.lineNumber++;
    }
    return this.lineNumber;
  }

  skipSpace(): void {
    while (this.position < this.text.length && this.text.charCodeAt(this.position) <= 32) this.position++;
  }

  get done(): boolean {
    this.skipSpace();
    return this.position >= this.text.length;
  }

  peek(): string {
    this.skipSpace();
    return this.text[this.position] ?? "";
  }

  take(expected: string): void {
    if (this.peek() !== expected) {
      throw new EmulatorError(
        "MTA851",
        `PTX line ${this.line()}: expected "${expected}", found "${this.peek()}"`,
      );
    }
    this.position++;
  }

  /** The text that a sticky pattern matches here, or null. */
  match(pattern: RegExp): RegExpExecArray | null {
    this.skipSpace();
    pattern.lastIndex = this.position;
    const found = pattern.exec(this.text);
    if (found !== null) this.position += found[0].length;
    return found;
  }

  until(end: string): string {
    this.skipSpace();
    const found = this.text.indexOf(end, this.position);
    if (found < 0) throw new EmulatorError("MTA851", `PTX line ${this.line()}: no "${end}" follows`);
    const text = this.text.slice(this.position, found).trim();
    this.position = found + end.length;
    return text;
  }

  restOfLine(): string {
    const found = this.text.indexOf("\n", this.position);
    const end = found < 0 ? this.text.length : found;
    const text = this.text.slice(this.position, end).trim();
    this.position = end;
    return text;
  }

  /** Skips a balanced `{ … }`. */
  skipBraces(): void {
    this.take("{");
    for (let depth = 1; depth > 0; this.position++) {
      const char = this.text[this.position];
      if (char === undefined) throw new EmulatorError("MTA851", "PTX ends inside braces");
      if (char === "{") depth++;
      if (char === "}") depth--;
    }
  }
}

function blankComments(source: string): string {
  return source.replace(/"(?:[^"\\]|\\.)*"|\/\/[^\n]*|\/\*[\s\S]*?\*\//g, (found) =>
    found.startsWith('"') ? found : found.replace(/[^\n]/g, " "),
  );
}
