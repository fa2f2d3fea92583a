import { type ErrorKind, MtacError } from "../contract/errors.ts";
import type { SourceLine } from "../contract/pipeline.ts";

/** Every error of the WebGPU runtime: its code, what it means, and whose fault it is. */
export const GPU_ERRORS = {
  MTA701: { kind: "device", meaning: "no WebGPU adapter" },
  MTA702: { kind: "device", meaning: "an optional package is not installed" },
  MTA703: { kind: "device", meaning: "the SwiftShader fallback cannot be used here" },
  MTA704: { kind: "device", meaning: "the adapter refused the device" },
  MTA705: { kind: "device", meaning: "the device was lost" },
  MTA706: { kind: "device", meaning: "the adapter lacks a required feature or limit" },
  MTA707: { kind: "device", meaning: "the browser has no WebGPU" },
  MTA708: { kind: "device", meaning: "the page was not loaded over https, which WebGPU needs" },
  MTA709: { kind: "device", meaning: "the browser's device was lost as soon as it was made" },
  MTA710: { kind: "device", meaning: "no plan of the artifact fits the device" },
  MTA711: { kind: "usage", meaning: "the artifact has no such plan" },
  MTA712: { kind: "usage", meaning: "the artifact lacks a kernel's source" },
  MTA713: { kind: "device", meaning: "a kernel does not compile" },
  MTA714: { kind: "device", meaning: "a compute pipeline could not be made" },
  MTA715: { kind: "usage", meaning: "encode() needs a kernel variant that is not prepared" },
  MTA720: { kind: "input", meaning: "a tensor has the wrong storage type" },
  MTA721: { kind: "input", meaning: "a tensor has unusable strides" },
  MTA722: { kind: "input", meaning: "a tensor's strides are not aligned as the kernels need" },
  MTA723: { kind: "input", meaning: "a tensor's offset is not aligned as the device needs" },
  MTA724: { kind: "input", meaning: "a tensor reaches past the end of its buffer" },
  MTA725: { kind: "input", meaning: "a tensor's buffer lacks a usage flag" },
  MTA726: { kind: "input", meaning: "an output shares its buffer with another tensor" },
  MTA727: { kind: "input", meaning: "an output has the wrong shape" },
  MTA728: { kind: "input", meaning: "host data does not match its shape or storage type" },
  MTA730: { kind: "device", meaning: "a dispatch exceeds the device's workgroup limit" },
  MTA731: { kind: "device", meaning: "a buffer exceeds the device's size limits" },
  MTA732: { kind: "device", meaning: "the device is out of memory" },
  MTA733: { kind: "device", meaning: "the device refused a command" },
  MTA734: { kind: "device", meaning: "the driver failed" },
  MTA740: { kind: "input", meaning: "a parameter has the wrong number of values" },
  MTA741: { kind: "usage", meaning: "the launcher was destroyed" },
  MTA742: { kind: "usage", meaning: "a GPUDevice is needed, and something else was given" },
  MTA743: { kind: "usage", meaning: "a GPUAdapter is needed, and something else was given" },
} as const satisfies Record<string, { kind: ErrorKind; meaning: string }>;

export type GpuErrorCode = keyof typeof GPU_ERRORS;

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
    super(code, GPU_ERRORS[code].kind, message, {
      ...(remedy === undefined ? {} : { remedy }),
      ...(cause === undefined ? {} : { cause }),
    });
    this.kernel = details.kernel ?? null;
    this.source = details.source ?? null;
  }
}
