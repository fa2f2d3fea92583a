import type { Counters } from "../emulator/index.ts";

/** What plans and launches need to know of a device. */
export interface CudaProperties {
  /** For people, for example `NVIDIA H100 80GB HBM3`. */
  readonly name: string;
  /** What stands between programs and the device, with its version: two devices whose drivers differ are not the same. */
  readonly driver: string;
  /** Times ten: 80 for compute capability 8.0. */
  readonly computeCapability: number;
  /** What kernels are compiled for, for example `sm_90`. */
  readonly architecture: string;
  /** Shared memory that one block may ask for. */
  readonly sharedBytesPerBlock: number;
  readonly threadsPerBlock: number;
  readonly grid: readonly [number, number, number];
  readonly multiprocessors: number;
  readonly memoryBytes: number;
}

/** Memory on a device. */
export interface CudaAllocation {
  readonly address: bigint;
  readonly bytes: number;
}

/** A compiled module: machine code for one architecture, or PTX text that the driver compiles when it loads it. */
export interface CudaImage {
  readonly kind: "cubin" | "ptx";
  readonly bytes: Uint8Array;
}

/** A kernel that is ready to be launched; each back end has its own. */
export interface CudaKernel {
  readonly name: string;
}

export interface CudaModule {
  /** @throws CudaError MTA816 when the module has no such kernel. */
  kernel(name: string): CudaKernel;
}

/** A kernel's parameters: the bytes of all, each from its offset on. */
export interface LaunchParameters {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly parts: readonly { readonly offset: number; readonly bytes: number }[];
}

export interface CudaLaunch {
  readonly grid: readonly [number, number, number];
  /** Threads of a block, along x. */
  readonly threads: number;
  /** Dynamic shared memory. */
  readonly sharedBytes: number;
  readonly parameters: LaunchParameters;
}

/** Measures the time that the device spends between two points of the queue. */
export interface CudaTimer {
  /** Marks the end. */
  stop(): void;
  /** Milliseconds; to be called when the work between both marks has ended. */
  read(): number;
  destroy(): void;
}

/**
 * What a launcher needs of a device: one queue on which everything happens in order. Two implementations: NVIDIA's driver
 * (`driver/`) and the PTX emulator (`emulated.ts`).
 */
export interface CudaBackend {
  readonly kind: "driver" | "emulated";
  readonly properties: CudaProperties;
  /** Which form of image `load` takes. */
  readonly images: readonly CudaImage["kind"][];

  /** @throws CudaError MTA832 (out of memory), MTA805. */
  allocate(bytes: number, label: string): CudaAllocation;
  /** Frees memory that no queued work uses. */
  free(allocation: CudaAllocation): void;
  /**
   * The allocation that an address lies in; null when the address is not the device's, undefined when the back end cannot
   * tell (memory of other libraries).
   */
  locate(address: bigint): CudaAllocation | null | undefined;
  /** Bytes that can still be allocated, or null where there is no telling. */
  freeBytes(): number | null;

  /** Copies to the device; the bytes may be changed as soon as it returns. */
  write(address: bigint, bytes: Uint8Array<ArrayBuffer>): void;
  /** Sets bytes to one value, in the queue. */
  fill(address: bigint, bytes: number, value: number): void;
  /** Copies from the device, after everything queued before. */
  read(address: bigint, bytes: number): Promise<Uint8Array<ArrayBuffer>>;

  /** @throws CudaError MTA814 with the driver's log. */
  load(image: CudaImage, name: string): CudaModule;
  /** Unloads a module whose kernels are not queued. */
  unload(module: CudaModule): void;
  /** Queues a launch. The emulator executes it at once and returns what it counted. */
  launch(kernel: CudaKernel, launch: CudaLaunch): Counters | null;
  /** Null where the device has no clock. */
  startTimer(): CudaTimer | null;
  /** Lets the event loop turn where it is time to, so that long calls do not block it. */
  breathe(): Promise<void>;
  /** Waits for everything queued so far. @throws CudaError MTA834 when a kernel failed. */
  finish(): Promise<void>;
  /** Gives the device back. */
  close(): void;
}
