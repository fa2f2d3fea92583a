import { type ErrorKind, MtacError } from "../contract/errors.ts";

/** Every fault that the emulator reports: its code and what it means. */
export const EMULATOR_ERRORS = {
  MTA850: { kind: "device", meaning: "an instruction or a modifier is not implemented" },
  MTA851: { kind: "input", meaning: "the PTX text is malformed" },
  MTA852: { kind: "device", meaning: "an access is out of bounds" },
  MTA853: { kind: "device", meaning: "an access is misaligned" },
  MTA854: { kind: "device", meaning: "memory is read that nobody has written" },
  MTA855: { kind: "device", meaning: "two accesses race" },
  MTA856: { kind: "device", meaning: "a collective instruction lacks lanes of its warp" },
  MTA857: { kind: "device", meaning: "the block is deadlocked at a barrier" },
  MTA858: { kind: "usage", meaning: "the launch configuration is impossible" },
  MTA859: { kind: "device", meaning: "the destination of a cp.async is used before its wait" },
  MTA860: { kind: "device", meaning: "the instruction budget is spent" },
  MTA861: { kind: "device", meaning: "a trap was executed" },
  MTA862: { kind: "usage", meaning: "the host uses memory that is not allocated" },
} as const satisfies Record<string, { kind: ErrorKind; meaning: string }>;

export type EmulatorErrorCode = keyof typeof EMULATOR_ERRORS;

export interface EmulatorErrorDetails {
  readonly kernel?: string | null;
  readonly block?: readonly [number, number, number] | null;
  readonly thread?: readonly [number, number, number] | null;
  readonly file?: string | null;
  readonly line?: number | null;
  readonly remedy?: string;
}

/** A fault found by the emulator; `code` is one of `EMULATOR_ERRORS`, the message repeats every field. */
export class EmulatorError extends MtacError {
  override readonly name: string = "EmulatorError";
  readonly kernel: string | null;
  /** `%ctaid` of the block at fault. */
  readonly block: readonly [number, number, number] | null;
  /** `%tid` of the (first) thread at fault. */
  readonly thread: readonly [number, number, number] | null;
  /** Source file and line, where the PTX was compiled with `-lineinfo`. */
  readonly file: string | null;
  readonly line: number | null;

  constructor(code: EmulatorErrorCode, message: string, details: EmulatorErrorDetails = {}) {
    super(
      code,
      EMULATOR_ERRORS[code].kind,
      message,
      details.remedy === undefined ? {} : { remedy: details.remedy },
    );
    this.kernel = details.kernel ?? null;
    this.block = details.block ?? null;
    this.thread = details.thread ?? null;
    this.file = details.file ?? null;
    this.line = details.line ?? null;
  }
}
