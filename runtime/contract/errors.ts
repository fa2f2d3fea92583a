/** What an error means for the command line's exit code. */
export type ErrorKind = "input" | "usage" | "device";

/**
 * Base of every error that a user can meet: `code` is stable, `remedy` says what to do. The command line turns `kind`
 * into an exit code (input 1, usage 2, device 3).
 */
export class MtacError extends Error {
  override readonly name: string = "MtacError";
  readonly code: string;
  readonly kind: ErrorKind;
  readonly remedy: string | null;

  constructor(
    code: string,
    kind: ErrorKind,
    message: string,
    options: { remedy?: string; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.kind = kind;
    this.remedy = options.remedy ?? null;
  }
}
