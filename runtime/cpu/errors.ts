import { type ErrorKind, MtacError } from "../contract/errors.ts";
import type { SourceLine } from "../contract/pipeline.ts";

/** Whose fault each error is; what the codes mean stands in `error-meanings.ts`. */
export const CPU_ERROR_KINDS = {
  MTA870: "device",
  MTA871: "device",
  MTA872: "device",
  MTA873: "device",
  MTA874: "device",
  MTA875: "usage",
  MTA876: "usage",
  MTA877: "usage",
  MTA878: "device",
  MTA880: "device",
  MTA881: "usage",
  MTA882: "input",
  MTA883: "input",
  MTA884: "input",
  MTA885: "input",
  MTA886: "input",
  MTA887: "input",
  MTA888: "input",
  MTA889: "input",
  MTA890: "usage",
  MTA891: "device",
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
