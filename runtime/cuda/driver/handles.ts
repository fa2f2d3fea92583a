import type { CudaKernel, CudaModule } from "../backend.ts";

/** Dynamic shared memory above which a kernel must ask for more (CUDA C++ Programming Guide, "Shared Memory"). */
const DEFAULT_SHARED_BYTES = 48 * 1024;

/** A CUmodule. */
export class DriverModule implements CudaModule {
  readonly handle: bigint;
  readonly #find: (name: string) => CudaKernel;

  constructor(handle: bigint, find: (name: string) => CudaKernel) {
    this.handle = handle;
    this.#find = find;
  }

  kernel(name: string): CudaKernel {
    return this.#find(name);
  }
}

/** A CUfunction. */
export class DriverKernel implements CudaKernel {
  readonly name: string;
  readonly handle: bigint;
  /** Dynamic shared memory that the kernel may use by now. */
  allowedBytes = DEFAULT_SHARED_BYTES;

  constructor(name: string, handle: bigint) {
    this.name = name;
    this.handle = handle;
  }
}

/** Lets the event loop turn once. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Lets the processor rest: a timer's shortest time. */
export function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1));
}
