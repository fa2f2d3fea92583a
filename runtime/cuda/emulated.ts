import os from "node:os";
import {
  type Counters,
  type Allocation as EmulatedAllocation,
  EmulatedDevice,
  type EmulatedKernel,
  type EmulatedModule,
  type EmulatorOptions,
} from "../emulator/index.ts";
import type {
  CudaAllocation,
  CudaBackend,
  CudaImage,
  CudaKernel,
  CudaLaunch,
  CudaModule,
  CudaProperties,
  CudaTimer,
} from "./backend.ts";
import { type CompileOptions, KernelBuilder } from "./compile/builder.ts";
import { type CudaCompiler, capabilityOf } from "./compile/compiler.ts";
import { CudaDevice } from "./device.ts";
import { CudaError } from "./errors.ts";

/** How the emulated device works, and what it checks. */
export interface EmulatedCudaOptions
  extends CompileOptions,
    Pick<EmulatorOptions, "warpOrder" | "checks" | "mmaRounding"> {
  /** What kernels are compiled for, and whose limits hold: `sm_80` if not given. */
  readonly architecture?: string;
}

/**
 * A CUDA device that executes kernels on the CPU, exactly and slowly: for tests, and for counts that no timing gives. Needs
 * nvcc or NVRTC, but neither a driver nor a GPU.
 *
 * @throws CudaError MTA807 (no compiler), MTA808 (no such architecture), MTA817.
 */
export async function openEmulatedCuda(options: EmulatedCudaOptions = {}): Promise<CudaDevice> {
  const { architecture = "sm_80", warpOrder, checks, mmaRounding } = options;
  const builder = new KernelBuilder(options);
  const compiler = options.compiler === "images" ? null : await builder.compiler();
  const properties = emulatedProperties(architecture, compiler);
  if (options.compiler !== "images" && compiler === null) {
    throw new CudaError(
      "MTA807",
      "the emulated CUDA device needs nvcc to make PTX of the kernels, and there is none on this machine",
    );
  }
  const device = new EmulatedDevice({
    sharedLimit: properties.sharedBytesPerBlock,
    ...(warpOrder === undefined ? {} : { warpOrder }),
    ...(checks === undefined ? {} : { checks }),
    ...(mmaRounding === undefined ? {} : { mmaRounding }),
  });
  return new CudaDevice(new EmulatedBackend(device, properties), builder);
}

/** What the emulated device would compile with: `nvcc 13.0.88 (…)`. @throws CudaError MTA807, MTA817. */
export async function emulatedCompiler(options: CompileOptions = {}): Promise<string> {
  const compiler = await new KernelBuilder(options).compiler();
  if (compiler !== null) return compiler.description;
  throw new CudaError("MTA807", "the emulated CUDA device needs nvcc, and there is none on this machine");
}

const KIB = 1024;

/**
 * Shared memory that one block may ask for, by the least compute capability (CUDA C++ Programming Guide, "Technical
 * Specifications per Compute Capability").
 */
const SHARED_BYTES: readonly (readonly [capability: number, bytes: number])[] = [
  [120, 99 * KIB],
  [90, 227 * KIB],
  [88, 99 * KIB],
  [87, 163 * KIB],
  [86, 99 * KIB],
  [80, 163 * KIB],
  [75, 64 * KIB],
  [0, 96 * KIB],
];

function emulatedProperties(architecture: string, compiler: CudaCompiler | null): CudaProperties {
  const computeCapability = capabilityOf(architecture);
  if (computeCapability === null)
    throw new CudaError("MTA808", `there is no GPU architecture "${architecture}"`);
  const [, sharedBytesPerBlock = 0] =
    SHARED_BYTES.find(([capability]) => capability <= computeCapability) ?? [];
  return {
    name: `emulated ${architecture}`,
    driver: compiler === null ? "given PTX" : `PTX of ${compiler.kind} ${compiler.version}`,
    computeCapability,
    architecture,
    sharedBytesPerBlock,
    threadsPerBlock: 1024,
    grid: [2 ** 31 - 1, 65535, 65535],
    multiprocessors: 1,
    memoryBytes: os.totalmem(),
  };
}

class EmulatedKernelHandle implements CudaKernel {
  readonly name: string;
  readonly kernel: EmulatedKernel;

  constructor(name: string, kernel: EmulatedKernel) {
    this.name = name;
    this.kernel = kernel;
  }
}

/** The emulator behind the launcher's contract: launches execute at once, one after the other. */
export class EmulatedBackend implements CudaBackend {
  readonly kind = "emulated";
  readonly properties: CudaProperties;
  readonly images = ["ptx"] as const;
  readonly #device: EmulatedDevice;
  readonly #allocations = new Map<bigint, EmulatedAllocation>();

  constructor(device: EmulatedDevice, properties: CudaProperties) {
    this.#device = device;
    this.properties = properties;
  }

  allocate(bytes: number, label: string): CudaAllocation {
    try {
      const allocation = this.#device.allocate(bytes, label);
      this.#allocations.set(allocation.address, allocation);
      return allocation;
    } catch (cause) {
      // The host has no array buffer of that size.
      if (!(cause instanceof RangeError)) throw cause;
      throw new CudaError("MTA832", `allocating ${bytes} bytes (${label}): ${cause.message}`, { cause });
    }
  }

  free({ address }: CudaAllocation): void {
    const allocation = this.#allocations.get(address);
    if (allocation === undefined) return;
    this.#allocations.delete(address);
    this.#device.free(allocation);
  }

  locate(address: bigint): CudaAllocation | null {
    const found = this.#allocations.get(address);
    if (found !== undefined) return found;
    for (const allocation of this.#allocations.values())
      if (address >= allocation.address && address < allocation.address + BigInt(allocation.bytes))
        return allocation;
    return null;
  }

  freeBytes(): null {
    return null;
  }

  write(address: bigint, bytes: Uint8Array<ArrayBuffer>): void {
    this.#device.write(address, bytes);
  }

  fill(address: bigint, bytes: number, value: number): void {
    this.#device.fill(address, bytes, value);
  }

  async read(address: bigint, bytes: number): Promise<Uint8Array<ArrayBuffer>> {
    return Uint8Array.from(this.#device.read(address, bytes));
  }

  load({ bytes }: CudaImage, name: string): CudaModule {
    const module: EmulatedModule = this.#device.load(Buffer.from(bytes).toString("utf8"), name);
    return {
      kernel: (entry) => {
        const kernel = module.kernels.get(entry);
        if (kernel !== undefined) return new EmulatedKernelHandle(entry, kernel);
        const known = [...module.kernels.keys()].join(", ");
        throw new CudaError("MTA816", `${name} has no kernel ${entry}; it has ${known || "none"}`);
      },
    };
  }

  unload(): void {
    // Goes with the device.
  }

  launch(kernel: CudaKernel, { grid, threads, sharedBytes, parameters }: CudaLaunch): Counters {
    if (!(kernel instanceof EmulatedKernelHandle))
      throw new RangeError(`"${kernel.name}" is a kernel of another device`);
    checkSignature(kernel.kernel, parameters.parts);
    return this.#device.launch(kernel.kernel, {
      grid,
      block: [threads, 1, 1],
      sharedBytes,
      parameters: parameters.bytes,
    });
  }

  startTimer(): CudaTimer | null {
    return null;
  }

  /** Every launch occupies the thread; between two of them others get their turn. */
  breathe(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }

  async finish(): Promise<void> {
    // Nothing is ever under way.
  }

  close(): void {
    this.#allocations.clear();
  }
}

/** A kernel whose parameters are not what the plan binds is a defect of the emitter; the driver would not notice. */
function checkSignature(
  { name, parameters }: EmulatedKernel,
  parts: readonly { readonly offset: number; readonly bytes: number }[],
): void {
  const show = (list: readonly { readonly offset: number; readonly bytes: number }[]): string =>
    list.map(({ offset, bytes }) => `${bytes}@${offset}`).join(" ");
  if (show(parameters) === show(parts)) return;
  throw new RangeError(
    `the kernel ${name} takes parameters ${show(parameters)} (bytes@offset), the plan binds ${show(parts)}`,
  );
}
