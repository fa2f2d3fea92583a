import { createStyle, printable, printableJson, type Style, wantsColour } from "./style.ts";

/** What is wrong with what a command was given, and does not stop it. */
export interface Notice {
  readonly severity: "note" | "warning";
  readonly message: string;
}

/**
 * Where a command writes. People's text goes to stdout, with `--json` to stderr, so that stdout then holds one JSON
 * value and nothing else. Control characters in what is printed, which come from names and files, never reach a terminal.
 */
export interface Output {
  readonly json: boolean;
  /** For what `text` prints. */
  readonly style: Style;
  /** For what `note` prints. */
  readonly noteStyle: Style;
  /** The result, for people. */
  text(line: string): void;
  /** Progress and warnings: always stderr. */
  note(line: string): void;
  /** Something to know of: also stderr. */
  notice(notice: Notice): void;
  /** The result for programs; does nothing without `--json`. */
  result(value: unknown): void;
}

/**
 * @param flags A command's: `--json` says what goes where.
 * @param lines A result is one line: for commands that give several, one after the other.
 */
export function openOutput({ json = false }: { readonly json?: boolean }, { lines = false } = {}): Output {
  const people = json ? process.stderr : process.stdout;
  const style = createStyle(wantsColour(people, process.env));
  const noteStyle = createStyle(wantsColour(process.stderr, process.env));
  const note = (line: string): void => void process.stderr.write(`${printable(line, noteStyle.colour)}\n`);
  return {
    json,
    style,
    noteStyle,
    text: (line) => void people.write(`${printable(line, style.colour)}\n`),
    note,
    notice: ({ severity, message }) => {
      const word = noteStyle.yellow(severity);
      note(severity === "note" ? `${word}: ${message}` : `${word} ${message}`);
    },
    result: (value) => {
      if (json)
        process.stdout.write(`${printableJson(JSON.stringify(value, replaceNonFinite, lines ? 0 : 2))}\n`);
    },
  };
}

/** JSON has no NaN and no infinities: they become strings rather than `null`, which would hide them. */
function replaceNonFinite(_key: string, value: unknown): unknown {
  return typeof value === "number" && !Number.isFinite(value) ? String(value) : value;
}

/** `mtac … | head` closes the pipe early: that is no error. */
export function tolerateClosedPipes(): void {
  for (const stream of [process.stdout, process.stderr])
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EPIPE") process.exit(process.exitCode ?? 0);
      throw error;
    });
}
