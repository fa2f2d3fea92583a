import { type ErrorKind, MtacError } from "../contract/errors.ts";
import type { SourceLine } from "../contract/pipeline.ts";

/** Whose fault each error is; what the codes mean stands in `error-meanings.ts`. */
export const CPU_ERROR_KINDS = {
  MTA880: "device",
  MTA881: "device",
  MTA882: "device",
  MTA883: "device",
  MTA884: "device",
  MTA885: "usage",
  MTA886: "usage",
  MTA887: "usage",
  MTA888: "device",
  MTA889: "device",
  MTA890: "usage",
  MTA891: "input",
  MTA892: "input",
  MTA893: "input",
  MTA894: "input",
  MTA895: "input",
  MTA896: "input",
  MTA897: "input",
  MTA898: "input",
  MTA899: "usage",
} as const satisfies Record<string, ErrorKind>;

/** A code of a `CpuError`. */
export type CpuErrorCode = keyof typeof CPU_ERROR_KINDS;

export interface CpuErrorDetails {
  readonly remedy?: string;
  readonly cause?: unknown;
  /** The spec line that the kernel computes. */
  readonly source?: SourceLine | null;
}

/** An error of the CPU runtimes; `code` is one of `CPU_ERROR_KINDS`. */
export class CpuError extends MtacError {
  override readonly name: string = "CpuError";
  readonly source: SourceLine | null;

  constructor(code: CpuErrorCode, message: string, details: CpuErrorDetails = {}) {
    const { remedy, cause } = details;
    super(code, CPU_ERROR_KINDS[code], message, {
      ...(remedy === undefined ? {} : { remedy }),
      ...(cause === undefined ? {} : { cause }),
    });
    this.source = details.source ?? null;
  }
}

/** @param what That there is no memory for. */
export function noMemory(what: string, cause?: unknown): CpuError {
  return new CpuError("MTA888", `there is no memory for ${what}`, {
    remedy: "destroy tensors, call releaseWorkspace(device), split the batch, or use fewer threads",
    cause,
  });
}
