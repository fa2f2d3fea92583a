import { type ErrorKind, MtacError } from "../contract/errors.ts";
import type { SourceLine } from "../contract/pipeline.ts";

/** Whose fault each error is. Every bundle holds this table; what the codes mean stands in `error-meanings.ts`. */
export const GPU_ERROR_KINDS = {
  MTA701: "device",
  MTA702: "device",
  MTA703: "device",
  MTA704: "device",
  MTA705: "device",
  MTA706: "device",
  MTA707: "device",
  MTA708: "device",
  MTA709: "device",
  MTA710: "device",
  MTA711: "usage",
  MTA712: "usage",
  MTA713: "device",
  MTA714: "device",
  MTA715: "usage",
  MTA720: "input",
  MTA721: "input",
  MTA722: "input",
  MTA723: "input",
  MTA724: "input",
  MTA725: "input",
  MTA726: "input",
  MTA727: "input",
  MTA728: "input",
  MTA730: "device",
  MTA731: "device",
  MTA732: "device",
  MTA733: "device",
  MTA734: "device",
  MTA740: "input",
  MTA741: "usage",
  MTA742: "usage",
  MTA743: "usage",
} as const satisfies Record<string, ErrorKind>;

/** A code of a `GpuError`. */
export type GpuErrorCode = keyof typeof GPU_ERROR_KINDS;

export interface GpuErrorDetails {
  readonly remedy?: string;
  readonly cause?: unknown;
  /** The kernel at fault, as the plan names it. */
  readonly kernel?: string | null;
  /** The spec line that the kernel computes. */
  readonly source?: SourceLine | null;
}

/** An error of the WebGPU runtime; `code` is one of `GPU_ERRORS`. */
export class GpuError extends MtacError {
  override readonly name: string = "GpuError";
  readonly kernel: string | null;
  readonly source: SourceLine | null;

  constructor(code: GpuErrorCode, message: string, details: GpuErrorDetails = {}) {
    const { remedy, cause } = details;
    super(code, GPU_ERROR_KINDS[code], message, {
      ...(remedy === undefined ? {} : { remedy }),
      ...(cause === undefined ? {} : { cause }),
    });
    this.kernel = details.kernel ?? null;
    this.source = details.source ?? null;
  }
}
