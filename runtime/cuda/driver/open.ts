import type { CudaProperties } from "../backend.ts";
import { type CompileOptions, KernelBuilder } from "../compile/builder.ts";
import { capabilityOf } from "../compile/compiler.ts";
import { CudaDevice } from "../device.ts";
import { CudaError } from "../errors.ts";
import { DriverBackend } from "./backend.ts";
import { type DriverLibrary, openDriverLibrary } from "./library.ts";
import { ATTRIBUTE, CU } from "./results.ts";

/** Which GPU `openCuda` opens, and how kernels are compiled for it. */
export interface CudaOptions extends CompileOptions {
  /** Number of the device, from 0. */
  readonly index?: number;
  /** A CUstream of the device's primary context to work on; a stream of its own if not given. */
  readonly stream?: bigint;
  /** What kernels are compiled for, for example `sm_90a`; the device's own architecture if not given. */
  readonly architecture?: string;
  /** Path of the driver's library; the environment variable MTAC_LIBCUDA does the same. */
  readonly driver?: string;
}

/**
 * Opens a CUDA device through NVIDIA's driver (and the optional package koffi). Works in the device's primary context, as the
 * CUDA runtime and PyTorch do.
 *
 * @throws CudaError MTA801 (no driver), MTA802 (no koffi), MTA803 (no such device), MTA804, MTA808, MTA833.
 */
export async function openCuda(options: CudaOptions = {}): Promise<CudaDevice> {
  const { index = 0, stream, architecture } = options;
  const library = await openDriverLibrary(options.driver);
  const count = countDevices(library);
  if (!Number.isSafeInteger(index) || index < 0 || index >= count) {
    throw new CudaError("MTA803", `there is no CUDA device ${index}: this machine has ${count}`);
  }
  const device = deviceHandle(library, index);
  const properties = describe(library, device, architecture);
  return new CudaDevice(new DriverBackend(library, device, properties, stream), new KernelBuilder(options));
}

/**
 * What CUDA devices there are.
 *
 * @throws CudaError MTA801 (no driver), MTA802 (no koffi), MTA803 (none), MTA804.
 */
export async function listCudaDevices(
  options: Pick<CudaOptions, "driver"> = {},
): Promise<readonly CudaProperties[]> {
  const library = await openDriverLibrary(options.driver);
  const count = countDevices(library);
  if (count === 0) throw new CudaError("MTA803", "the CUDA driver finds no device");
  return Array.from({ length: count }, (_, index) => describe(library, deviceHandle(library, index)));
}

function countDevices(library: DriverLibrary): number {
  const started = library.result("cuInit", 0);
  if (started === CU.NO_DEVICE) return 0;
  if (started !== CU.SUCCESS)
    throw library.error("MTA804", started, `the CUDA driver ${library.path} could not be initialised`);
  const count = new Int32Array(1);
  check(library, library.result("cuDeviceGetCount", count), "counting devices");
  return count[0] ?? 0;
}

function deviceHandle(library: DriverLibrary, index: number): number {
  const device = new Int32Array(1);
  check(library, library.result("cuDeviceGet", device, index), `getting device ${index}`);
  return device[0] ?? 0;
}

function describe(library: DriverLibrary, device: number, architecture?: string): CudaProperties {
  const name = new Uint8Array(256);
  check(library, library.result("cuDeviceGetName", name, name.length, device), "reading a device's name");
  const memory = new BigUint64Array(1);
  check(library, library.result("cuDeviceTotalMem_v2", memory, device), "reading a device's memory size");
  const attribute = (which: keyof typeof ATTRIBUTE): number => {
    const value = new Int32Array(1);
    const result = library.result("cuDeviceGetAttribute", value, ATTRIBUTE[which], device);
    check(library, result, `reading a device's ${which}`);
    return value[0] ?? 0;
  };
  const computeCapability =
    attribute("COMPUTE_CAPABILITY_MAJOR") * 10 + attribute("COMPUTE_CAPABILITY_MINOR");
  const version = new Int32Array(1);
  check(library, library.result("cuDriverGetVersion", version), "reading the driver's version");
  const optIn = attribute("MAX_SHARED_MEMORY_PER_BLOCK_OPTIN");
  return {
    name: new TextDecoder().decode(name.subarray(0, name.indexOf(0))),
    driver: driverName(version[0] ?? 0),
    computeCapability,
    architecture: checkArchitecture(architecture) ?? `sm_${computeCapability}`,
    // Devices before Volta have no opt-in.
    sharedBytesPerBlock: Math.max(optIn, attribute("MAX_SHARED_MEMORY_PER_BLOCK")),
    threadsPerBlock: attribute("MAX_THREADS_PER_BLOCK"),
    grid: [attribute("MAX_GRID_DIM_X"), attribute("MAX_GRID_DIM_Y"), attribute("MAX_GRID_DIM_Z")],
    multiprocessors: attribute("MULTIPROCESSOR_COUNT"),
    memoryBytes: Number(memory[0]),
  };
}

/** The driver API gives versions as 1000 times the major one plus 10 times the minor one. */
function driverName(version: number): string {
  return `CUDA driver ${Math.floor(version / 1000)}.${Math.floor((version % 1000) / 10)}`;
}

/** @throws CudaError MTA808: not the name of an architecture. */
export function checkArchitecture(name: string | undefined): string | undefined {
  if (name === undefined || capabilityOf(name) !== null) return name;
  throw new CudaError("MTA808", `there is no GPU architecture "${name}"`);
}

function check(library: DriverLibrary, result: number, doing: string): void {
  if (result !== CU.SUCCESS) throw library.error("MTA833", result, doing);
}
