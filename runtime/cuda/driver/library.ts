import {
  type ForeignFunction,
  type ForeignLibrary,
  type ForeignType,
  type ForeignValue,
  loadKoffi,
  openLibrary,
} from "../../foreign/library.ts";
import { CudaError, type CudaErrorCode, noKoffi } from "../errors.ts";
import { CU } from "./results.ts";

/**
 * The functions of the driver that are used, with their parameters (CUDA Driver API). Handles and device pointers are
 * passed as 64-bit integers, results come back through typed arrays.
 */
export const DRIVER_FUNCTIONS = {
  cuInit: ["uint"],
  cuDriverGetVersion: ["void *"],
  cuGetErrorName: ["int", "void *"],
  cuGetErrorString: ["int", "void *"],
  cuDeviceGetCount: ["void *"],
  cuDeviceGet: ["void *", "int"],
  cuDeviceGetName: ["void *", "int", "int"],
  cuDeviceGetAttribute: ["void *", "int", "int"],
  cuDeviceTotalMem_v2: ["void *", "int"],
  cuDevicePrimaryCtxRetain: ["void *", "int"],
  cuDevicePrimaryCtxRelease_v2: ["int"],
  cuCtxSetCurrent: ["uint64"],
  cuMemGetInfo_v2: ["void *", "void *"],
  cuMemAlloc_v2: ["void *", "uint64"],
  cuMemFree_v2: ["uint64"],
  cuMemGetAddressRange_v2: ["void *", "void *", "uint64"],
  cuMemcpyHtoDAsync_v2: ["uint64", "void *", "uint64", "uint64"],
  cuMemcpyDtoHAsync_v2: ["void *", "uint64", "uint64", "uint64"],
  cuMemsetD8Async: ["uint64", "uint", "uint64", "uint64"],
  cuModuleLoadDataEx: ["void *", "void *", "uint", "void *", "void *"],
  cuModuleUnload: ["uint64"],
  cuModuleGetFunction: ["void *", "uint64", "str"],
  cuFuncGetAttribute: ["void *", "int", "uint64"],
  cuFuncSetAttribute: ["uint64", "int", "int"],
  cuLaunchKernel: [
    "uint64",
    "uint",
    "uint",
    "uint",
    "uint",
    "uint",
    "uint",
    "uint",
    "uint64",
    "void *",
    "void *",
  ],
  cuStreamCreate: ["void *", "uint"],
  cuStreamDestroy_v2: ["uint64"],
  cuStreamSynchronize: ["uint64"],
  cuEventCreate: ["void *", "uint"],
  cuEventDestroy_v2: ["uint64"],
  cuEventRecord: ["uint64", "uint64"],
  cuEventQuery: ["uint64"],
  cuEventElapsedTime: ["void *", "uint64", "uint64"],
} as const satisfies Record<string, readonly ForeignType[]>;

export type DriverFunction = keyof typeof DRIVER_FUNCTIONS;

/** NVIDIA's driver library. */
export class DriverLibrary {
  readonly #library: ForeignLibrary;
  readonly #bound = new Map<DriverFunction, ForeignFunction>();

  constructor(library: ForeignLibrary) {
    this.#library = library;
  }

  get path(): string {
    return this.#library.path;
  }

  addressOf(view: ArrayBufferView): bigint {
    return this.#library.addressOf(view);
  }

  /** The CUresult of a call. @throws CudaError MTA804: the driver is too old to have the function. */
  result(name: DriverFunction, ...values: ForeignValue[]): number {
    let bound = this.#bound.get(name);
    if (bound === undefined) {
      try {
        bound = this.#library.bind(name, DRIVER_FUNCTIONS[name]);
      } catch (cause) {
        throw new CudaError("MTA804", `the driver ${this.path} has no function ${name}`, { cause });
      }
      this.#bound.set(name, bound);
    }
    return bound(...values);
  }

  /** `CUDA_ERROR_INVALID_VALUE (invalid argument)`, split; numbers that the driver does not know keep their number. */
  explain(result: number): { readonly name: string; readonly text: string } {
    const read = (name: "cuGetErrorName" | "cuGetErrorString"): string => {
      const pointer = new BigUint64Array(1);
      return this.result(name, result, pointer) === CU.SUCCESS ? this.#library.textAt(pointer[0] ?? 0n) : "";
    };
    return { name: read("cuGetErrorName") || `CUresult ${result}`, text: read("cuGetErrorString") };
  }

  /** The error for a result: what was being done, and the driver's own words. */
  error(code: CudaErrorCode, result: number, doing: string, details: { remedy?: string } = {}): CudaError {
    const { name, text } = this.explain(result);
    const words = text === "" ? name : `${name} (${text})`;
    return new CudaError(code, `${doing}: ${words}`, { ...details, result: name });
  }
}

/**
 * Opens the driver's library.
 *
 * @param given Instead of the system's; the environment variable MTAC_LIBCUDA does the same.
 * @throws CudaError MTA801 (no driver), MTA802 (no koffi).
 */
export async function openDriverLibrary(given?: string): Promise<DriverLibrary> {
  const { MTAC_LIBCUDA: environment } = process.env;
  const asked = given ?? (environment === "" ? undefined : environment);
  const koffi = await loadKoffi(noKoffi);
  const names = process.platform === "win32" ? ["nvcuda.dll"] : ["libcuda.so.1", "libcuda.so"];
  const { library, reasons } = openLibrary(koffi, asked === undefined ? names : [asked]);
  if (library !== null) return new DriverLibrary(library);
  throw new CudaError("MTA801", `no CUDA driver on this machine (${reasons[0] ?? "no library"})`);
}
