import { type ErrorKind, MtacError } from "../contract/errors.ts";
import type { SourceLine } from "../contract/pipeline.ts";

interface ErrorEntry {
  readonly kind: ErrorKind;
  readonly meaning: string;
  /** What to do, unless the error itself knows better; null where nothing general can be said. */
  readonly remedy: string | null;
}

const REPORT = "the driver's own name says more; CUDA Driver API, `CUresult`, explains it";
const COMPILE_AGAIN = "compile the spec again";

/** Every error of the CUDA runtime: its code, what it means, whose fault it is and what to do. */
export const CUDA_ERRORS = {
  MTA801: {
    kind: "device",
    meaning: "no CUDA driver",
    remedy: "install NVIDIA's driver, or use the target cuda-emulated, which needs no GPU",
  },
  MTA802: {
    kind: "device",
    meaning: "an optional package is not installed",
    remedy: "npm install koffi@3, or use the target cuda-emulated",
  },
  MTA803: {
    kind: "device",
    meaning: "no such CUDA device",
    remedy: "`mtac devices` lists what there is; the target cuda-emulated needs no GPU",
  },
  MTA804: {
    kind: "device",
    meaning: "the driver could not be initialised",
    remedy: "update NVIDIA's driver, or use the target cuda-emulated",
  },
  MTA805: {
    kind: "device",
    meaning: "the CUDA context is broken by an earlier error",
    remedy: "close the device, and open it in a fresh process: CUDA keeps no context alive after a fault",
  },
  MTA806: {
    kind: "usage",
    meaning: "the device was closed",
    remedy: "open it again, and call launcher.rebuild(device)",
  },
  MTA807: {
    kind: "device",
    meaning: "the emulated device has no compiler",
    remedy:
      "install the CUDA toolkit and put nvcc on the PATH (or set CUDA_HOME): the emulator executes the PTX that nvcc makes",
  },
  MTA808: {
    kind: "usage",
    meaning: "there is no such GPU architecture",
    remedy: "give one as sm_80, sm_90 …",
  },
  MTA810: {
    kind: "device",
    meaning: "no plan of the artifact fits the device",
    remedy: "compile the spec for this device's architecture, or choose another device",
  },
  MTA811: { kind: "usage", meaning: "the artifact has no such plan, or is none", remedy: COMPILE_AGAIN },
  MTA812: { kind: "usage", meaning: "the artifact lacks a kernel's source", remedy: COMPILE_AGAIN },
  MTA813: {
    kind: "device",
    meaning: "a kernel does not compile",
    remedy: "update the CUDA toolkit: kernels need C++17 and 11.4 or later",
  },
  MTA814: {
    kind: "device",
    meaning: "the driver refused a compiled module",
    remedy: "update NVIDIA's driver: it must be at least as new as the toolkit that compiled the module",
  },
  MTA815: {
    kind: "device",
    meaning: "there is no way to compile kernels",
    remedy:
      "make NVRTC (libnvrtc.so) findable, or put nvcc on the PATH or under CUDA_HOME, or ship the artifact with precompiled images",
  },
  MTA816: { kind: "usage", meaning: "a module lacks a kernel", remedy: COMPILE_AGAIN },
  MTA817: {
    kind: "device",
    meaning: "the kernel compiler could not be run",
    remedy: "check the CUDA toolkit's installation",
  },
  MTA820: { kind: "input", meaning: "a tensor has the wrong storage type", remedy: null },
  MTA821: { kind: "input", meaning: "a tensor has unusable strides", remedy: null },
  MTA822: {
    kind: "input",
    meaning: "a tensor's strides are not aligned as the kernels need",
    remedy: null,
  },
  MTA823: {
    kind: "input",
    meaning: "a tensor's address is not aligned as the kernels need",
    remedy: null,
  },
  MTA824: { kind: "input", meaning: "a tensor reaches past the end of its allocation", remedy: null },
  MTA825: {
    kind: "input",
    meaning: "a tensor's address is not memory of the device",
    remedy: "upload the tensor to the launcher's device, and do not free it before the call ends",
  },
  MTA826: {
    kind: "input",
    meaning: "an output overlaps another tensor",
    remedy: "give the output memory of its own",
  },
  MTA827: { kind: "input", meaning: "an output has the wrong shape", remedy: null },
  MTA828: {
    kind: "input",
    meaning: "host data does not match its shape or storage type",
    remedy: "give one value for each element; Int32Array goes with i32, floats with the other types",
  },
  MTA830: { kind: "device", meaning: "a launch exceeds the device's limits", remedy: null },
  MTA831: {
    kind: "device",
    meaning: "a kernel does not fit the device",
    remedy: "compile the spec for this device's architecture, or try another schedule",
  },
  MTA832: {
    kind: "device",
    meaning: "the device is out of memory",
    remedy: "free tensors, call releaseWorkspace(device), split the batch, or try another schedule",
  },
  MTA833: { kind: "device", meaning: "the driver refused a call", remedy: REPORT },
  MTA834: {
    kind: "device",
    meaning: "a kernel failed",
    remedy:
      "a defect of mtac unless tensors were freed meanwhile; `synchronous: true` tells which kernel, the target cuda-emulated which line",
  },
  MTA840: { kind: "input", meaning: "a parameter has the wrong number of values", remedy: null },
  MTA841: {
    kind: "usage",
    meaning: "the launcher was destroyed",
    remedy: "make a new one with createCudaLauncher()",
  },
  MTA842: {
    kind: "usage",
    meaning: "a CudaDevice is needed, and something else was given",
    remedy: "pass what openCuda() or openEmulatedCuda() gives, awaited",
  },
} as const satisfies Record<string, ErrorEntry>;

/** A code of a `CudaError`. */
export type CudaErrorCode = keyof typeof CUDA_ERRORS;

export interface CudaErrorDetails {
  /** Instead of the table's. */
  readonly remedy?: string;
  readonly cause?: unknown;
  /** The kernel at fault, as the plan names it. */
  readonly kernel?: string | null;
  /** The spec line that the kernel computes. */
  readonly source?: SourceLine | null;
  /** The driver's own name, for example `CUDA_ERROR_ILLEGAL_ADDRESS`. */
  readonly result?: string | null;
}

/** An error of the CUDA runtime; `code` is one of `CUDA_ERRORS`. */
export class CudaError extends MtacError {
  override readonly name: string = "CudaError";
  readonly kernel: string | null;
  readonly source: SourceLine | null;
  readonly result: string | null;
  readonly #code: CudaErrorCode;

  constructor(code: CudaErrorCode, message: string, details: CudaErrorDetails = {}) {
    const { kind, remedy: usual } = CUDA_ERRORS[code];
    const remedy = details.remedy ?? usual;
    super(code, kind, message, {
      ...(remedy === null ? {} : { remedy }),
      ...(details.cause === undefined ? {} : { cause: details.cause }),
    });
    this.kernel = details.kernel ?? null;
    this.source = details.source ?? null;
    this.result = details.result ?? null;
    this.#code = code;
  }

  /** The same error, with the place where it happened. */
  at(where: string, kernel: string | null, source: SourceLine | null): CudaError {
    const { remedy, result } = this;
    const details = { ...(remedy === null ? {} : { remedy }), result, kernel, source };
    return new CudaError(this.#code, `${this.message}${where}`, { ...details, cause: this });
  }
}

/** For `loadKoffi`. */
export function noKoffi(message: string, cause: unknown): CudaError {
  return new CudaError("MTA802", message, { cause });
}

/** An address as messages print it. */
export function hex(address: bigint): string {
  return `0x${address.toString(16)}`;
}
