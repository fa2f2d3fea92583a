import { MtacError } from "../../runtime/contract/index.ts";
import type { Output } from "../terminal/output.ts";

/** 0 fine, 1 the spec or the check failed, 2 wrong usage, 3 the device or driver failed, 130 interrupted (as shells have it). */
export type ExitCode = 0 | 1 | 2 | 3 | 130;

/** Thrown when everything that there is to say has been printed. */
export class Finished extends Error {
  override readonly name = "Finished";
  readonly exitCode: ExitCode;

  constructor(exitCode: ExitCode) {
    super(`exit code ${exitCode}`);
    this.exitCode = exitCode;
  }
}

export function exitCodeOf(error: MtacError): ExitCode {
  switch (error.kind) {
    case "input":
      return 1;
    case "usage":
      return 2;
    case "device":
      return 3;
  }
}

/** Prints what went wrong, and gives the exit code for it. */
export function reportFailure(error: unknown, output: Output): ExitCode {
  if (error instanceof Finished) return error.exitCode;
  const { noteStyle: style } = output;
  if (error instanceof MtacError) {
    // Further lines are indented: a name that holds a line end must not pass for a message of its own.
    const message = error.message.replace(/\n(?! )/g, "\n  ");
    output.note(`${style.bold(style.red(`error ${error.code}`))}: ${message}`);
    const { remedy } = error;
    if (remedy !== null) output.note(`  ${style.cyan("=")} fix: ${remedy}`);
    const { MTAC_DEBUG: debug } = process.env;
    if (debug !== undefined) output.note(style.dim(describeDefect(error)));
    output.result({ error: errorObject(error) });
    return exitCodeOf(error);
  }
  output.note(
    `${style.bold(style.red("error MTA999"))}: mtac itself failed; please report this with the spec`,
  );
  output.note(style.dim(describeDefect(error)));
  output.result({
    error: {
      code: "MTA999",
      kind: "defect",
      message: error instanceof Error ? error.message : String(error),
      remedy: null,
    },
  });
  return 3;
}

/** An error as `--json` prints it. */
export interface ErrorObject {
  readonly code: string;
  readonly kind: string;
  readonly message: string;
  readonly remedy: string | null;
}

export function errorObject(error: MtacError): ErrorObject {
  return { code: error.code, kind: error.kind, message: error.message, remedy: error.remedy };
}

function describeDefect(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? "" : `\ncaused by ${describeDefect(error.cause)}`;
  return `${error.stack ?? error.message}${cause}`;
}
