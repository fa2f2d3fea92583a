import { formatBytes } from "../../contract/messages.ts";
import type { ForeignValue } from "../../foreign/library.ts";
import type {
  CudaAllocation,
  CudaBackend,
  CudaImage,
  CudaKernel,
  CudaLaunch,
  CudaModule,
  CudaProperties,
  CudaTimer,
} from "../backend.ts";
import { CudaError, type CudaErrorCode } from "../errors.ts";
import { DriverKernel, DriverModule, pause, turn } from "./handles.ts";
import type { DriverFunction, DriverLibrary } from "./library.ts";
import {
  CU,
  EVENT_DEFAULT,
  EVENT_DISABLE_TIMING,
  FUNCTION_ATTRIBUTE,
  isSticky,
  JIT,
  STREAM_NON_BLOCKING,
} from "./results.ts";

/** Launches after which the queue is let run dry: a full one (1024) would block the thread. */
const LAUNCHES_IN_FLIGHT = 512;

/** Copies of pageable memory occupy the thread while they run. */
const READ_CHUNK_BYTES = 16 * 2 ** 20;

/** Host bytes kept for copies under way, above which these are waited for. */
const PENDING_BYTES = 64 * 2 ** 20;

/** How long waiting turns the event loop without a pause: shorter calls end sooner than any timer fires. */
const EAGER_MS = 2;

const JIT_LOG_BYTES = 16384;

/** A device behind NVIDIA's driver: its primary context and one stream. */
export class DriverBackend implements CudaBackend {
  readonly kind = "driver";
  readonly properties: CudaProperties;
  readonly images = ["cubin", "ptx"] as const;
  readonly #library: DriverLibrary;
  readonly #device: number;
  readonly #context: bigint;
  readonly #stream: bigint;
  readonly #ownsStream: boolean;
  readonly #allocations = new Map<bigint, CudaAllocation>();
  /** Sources of copies that the driver may still read. */
  #pending: { readonly number: number; readonly bytes: Uint8Array }[] = [];
  #pendingBytes = 0;
  #copies = 0;
  #launches = 0;
  /** The error that broke the context, once one has. */
  #broken: CudaError | null = null;

  /** @throws CudaError MTA833 */
  constructor(
    library: DriverLibrary,
    device: number,
    properties: CudaProperties,
    stream: bigint | undefined,
  ) {
    this.#library = library;
    this.#device = device;
    this.properties = properties;
    this.#context = this.#make("MTA804", "making the primary context", (out) =>
      library.result("cuDevicePrimaryCtxRetain", out, device),
    );
    this.#ownsStream = stream === undefined;
    try {
      this.#enter();
      this.#stream =
        stream ??
        this.#make("MTA833", "making a stream", (out) =>
          library.result("cuStreamCreate", out, STREAM_NON_BLOCKING),
        );
    } catch (error) {
      library.result("cuDevicePrimaryCtxRelease_v2", device);
      throw error;
    }
  }

  allocate(bytes: number, label: string): CudaAllocation {
    this.#enter();
    const address = new BigUint64Array(1);
    const result = this.#library.result("cuMemAlloc_v2", address, BigInt(bytes));
    if (result === CU.OUT_OF_MEMORY) {
      const free = this.freeBytes();
      const left = free === null ? "" : `, ${formatBytes(free)} are free`;
      throw this.#library.error("MTA832", result, `allocating ${formatBytes(bytes)} (${label}${left})`);
    }
    this.#check(result, `allocating ${formatBytes(bytes)} (${label})`);
    const allocation = { address: address[0] ?? 0n, bytes };
    this.#allocations.set(allocation.address, allocation);
    return allocation;
  }

  free({ address }: CudaAllocation): void {
    this.#allocations.delete(address);
    // A broken context has lost its memory.
    if (this.#broken !== null) return;
    this.#enter();
    this.#call("freeing memory", "cuMemFree_v2", address);
  }

  locate(address: bigint): CudaAllocation | null | undefined {
    const own = this.#allocations.get(address);
    if (own !== undefined) return own;
    this.#enter();
    const [base, size] = [new BigUint64Array(1), new BigUint64Array(1)];
    // Other libraries' memory may be of kinds that this function does not know: then nothing can be said.
    const result = this.#library.result("cuMemGetAddressRange_v2", base, size, address);
    if (result !== CU.SUCCESS) return undefined;
    return { address: base[0] ?? 0n, bytes: Number(size[0]) };
  }

  freeBytes(): number | null {
    const [free, total] = [new BigUint64Array(1), new BigUint64Array(1)];
    return this.#library.result("cuMemGetInfo_v2", free, total) === CU.SUCCESS ? Number(free[0]) : null;
  }

  write(address: bigint, bytes: Uint8Array<ArrayBuffer>): void {
    this.#enter();
    // A copy of pageable memory may still read its source when it returns ("API synchronization behavior"): the copy that
    // is kept cannot change, nor be collected.
    const kept = bytes.slice();
    this.#call(
      `copying ${formatBytes(bytes.length)} to the device`,
      "cuMemcpyHtoDAsync_v2",
      address,
      kept,
      BigInt(kept.length),
      this.#stream,
    );
    this.#pending.push({ number: ++this.#copies, bytes: kept });
    this.#pendingBytes += kept.length;
    if (this.#pendingBytes <= PENDING_BYTES) return;
    this.#call("waiting for a copy", "cuStreamSynchronize", this.#stream);
    this.#forget(this.#copies);
  }

  fill(address: bigint, bytes: number, value: number): void {
    this.#enter();
    this.#call("filling memory", "cuMemsetD8Async", address, value, BigInt(bytes), this.#stream);
  }

  async read(address: bigint, bytes: number): Promise<Uint8Array<ArrayBuffer>> {
    await this.finish();
    const result = new Uint8Array(new ArrayBuffer(bytes));
    for (let begin = 0; begin < bytes; begin += READ_CHUNK_BYTES) {
      if (begin > 0) await turn();
      this.#enter();
      const chunk = result.subarray(begin, begin + READ_CHUNK_BYTES);
      this.#call(
        `copying ${formatBytes(bytes)} from the device`,
        "cuMemcpyDtoHAsync_v2",
        chunk,
        address + BigInt(begin),
        BigInt(chunk.length),
        this.#stream,
      );
      // To pageable memory the copy has ended when the call returns; this costs nothing and does not rely on it.
      this.#call("waiting for a copy", "cuStreamSynchronize", this.#stream);
    }
    return result;
  }

  load({ kind, bytes }: CudaImage, name: string): CudaModule {
    this.#enter();
    // PTX is text that must end with NUL; behind machine code it does no harm.
    const image = new Uint8Array(bytes.length + 1);
    image.set(bytes);
    const log = new Uint8Array(JIT_LOG_BYTES);
    const options = Int32Array.of(JIT.ERROR_LOG_BUFFER, JIT.ERROR_LOG_BUFFER_SIZE_BYTES);
    const values = BigUint64Array.of(this.#library.addressOf(log), BigInt(log.length));
    const handle = new BigUint64Array(1);
    const result = this.#library.result("cuModuleLoadDataEx", handle, image, options.length, options, values);
    if (result !== CU.SUCCESS) {
      const end = log.indexOf(0);
      const said = new TextDecoder().decode(log.subarray(0, end < 0 ? log.length : end)).trim();
      const lines = said === "" ? "" : `\n${said}`;
      const error = this.#library.error("MTA814", result, `loading ${name} (${kind})`);
      throw new CudaError("MTA814", `${error.message}${lines}`, { result: error.result, cause: error });
    }
    const module = handle[0] ?? 0n;
    return new DriverModule(module, (entry) => this.#kernel(module, entry, name));
  }

  unload(module: CudaModule): void {
    if (!(module instanceof DriverModule) || this.#broken !== null) return;
    this.#enter();
    this.#call("unloading a module", "cuModuleUnload", module.handle);
  }

  launch(kernel: CudaKernel, { grid, threads, sharedBytes, parameters }: CudaLaunch): null {
    if (!(kernel instanceof DriverKernel))
      throw new RangeError(`"${kernel.name}" is a kernel of another device`);
    this.#enter();
    this.#allowShared(kernel, sharedBytes);
    const base = this.#library.addressOf(parameters.bytes);
    const pointers = BigUint64Array.from(parameters.parts, ({ offset }) => base + BigInt(offset));
    const [x, y, z] = grid;
    const doing = `launching ${x}×${y}×${z} blocks of ${threads} threads`;
    const result = this.#library.result(
      "cuLaunchKernel",
      kernel.handle,
      x,
      y,
      z,
      threads,
      1,
      1,
      sharedBytes,
      this.#stream,
      pointers,
      null,
    );
    // Too many threads for the registers that the kernel takes.
    if (result === CU.LAUNCH_OUT_OF_RESOURCES) throw this.#library.error("MTA831", result, doing);
    this.#check(result, doing);
    this.#launches++;
    return null;
  }

  startTimer(): CudaTimer {
    this.#enter();
    const events: bigint[] = [];
    const destroy = (): void => {
      for (const event of events.splice(0)) this.#destroyEvent(event);
    };
    try {
      events.push(this.#event(EVENT_DEFAULT));
      events.push(this.#event(EVENT_DEFAULT));
      const [begin = 0n, end = 0n] = events;
      this.#record(begin);
      return this.#timer(begin, end, destroy);
    } catch (error) {
      destroy();
      throw error;
    }
  }

  #timer(begin: bigint, end: bigint, destroy: () => void): CudaTimer {
    return {
      stop: () => {
        this.#enter();
        this.#record(end);
      },
      read: () => {
        this.#enter();
        const elapsed = new Float32Array(1);
        this.#call("reading events", "cuEventElapsedTime", elapsed, begin, end);
        return elapsed[0] ?? 0;
      },
      destroy,
    };
  }

  async breathe(): Promise<void> {
    if (this.#launches < LAUNCHES_IN_FLIGHT) return;
    await this.finish();
  }

  async finish(): Promise<void> {
    this.#enter();
    const covered = this.#copies;
    const event = this.#event(EVENT_DISABLE_TIMING);
    this.#launches = 0;
    try {
      this.#record(event);
      const eagerUntil = performance.now() + EAGER_MS;
      while (!this.#reached(event)) await (performance.now() < eagerUntil ? turn() : pause());
    } finally {
      this.#destroyEvent(event);
    }
    this.#forget(covered);
  }

  close(): void {
    this.#allocations.clear();
    if (this.#broken === null) {
      this.#enter();
      if (this.#ownsStream) this.#library.result("cuStreamDestroy_v2", this.#stream);
    }
    this.#pending = [];
    this.#library.result("cuDevicePrimaryCtxRelease_v2", this.#device);
  }

  #kernel(module: bigint, entry: string, file: string): DriverKernel {
    this.#enter();
    const handle = new BigUint64Array(1);
    const result = this.#library.result("cuModuleGetFunction", handle, module, entry);
    if (result === CU.NOT_FOUND)
      throw this.#library.error("MTA816", result, `finding the kernel ${entry} in ${file}`);
    this.#check(result, `finding the kernel ${entry} in ${file}`);
    return new DriverKernel(entry, handle[0] ?? 0n);
  }

  /** @throws CudaError MTA831: shared memory and what the kernel has of its own exceed the device's. */
  #allowShared(kernel: DriverKernel, bytes: number): void {
    if (bytes <= kernel.allowedBytes) return;
    const result = this.#library.result(
      "cuFuncSetAttribute",
      kernel.handle,
      FUNCTION_ATTRIBUTE.MAX_DYNAMIC_SHARED_SIZE_BYTES,
      bytes,
    );
    if (result !== CU.SUCCESS) {
      const own = new Int32Array(1);
      this.#library.result("cuFuncGetAttribute", own, FUNCTION_ATTRIBUTE.SHARED_SIZE_BYTES, kernel.handle);
      throw this.#library.error(
        "MTA831",
        result,
        `asking for ${formatBytes(bytes)} of dynamic shared memory beside ${formatBytes(own[0] ?? 0)} static, where a ` +
          `block can have ${formatBytes(this.properties.sharedBytesPerBlock)}`,
      );
    }
    kernel.allowedBytes = bytes;
  }

  #event(flags: number): bigint {
    return this.#make("MTA833", "making an event", (out) =>
      this.#library.result("cuEventCreate", out, flags),
    );
  }

  #record(event: bigint): void {
    this.#call("recording an event", "cuEventRecord", event, this.#stream);
  }

  #reached(event: bigint): boolean {
    this.#enter();
    const result = this.#library.result("cuEventQuery", event);
    if (result === CU.NOT_READY) return false;
    this.#check(result, "waiting for the device");
    return true;
  }

  #destroyEvent(event: bigint): void {
    if (this.#broken === null) this.#library.result("cuEventDestroy_v2", event);
  }

  /** Drops the sources of the first copies, up to the one with this number. */
  #forget(last: number): void {
    this.#pending = this.#pending.filter(({ number }) => number > last);
    this.#pendingBytes = this.#pending.reduce((sum, { bytes }) => sum + bytes.length, 0);
  }

  /** The context is per thread, and other libraries and devices on this thread have theirs. */
  #enter(): void {
    if (this.#broken !== null) {
      throw new CudaError(
        "MTA805",
        `the CUDA context is unusable since an earlier error: ${this.#broken.message}`,
        {
          cause: this.#broken,
          result: this.#broken.result,
        },
      );
    }
    const result = this.#library.result("cuCtxSetCurrent", this.#context);
    if (result !== CU.SUCCESS) this.#check(result, "making the context current");
  }

  #make(code: CudaErrorCode, doing: string, call: (out: BigUint64Array) => number): bigint {
    const out = new BigUint64Array(1);
    const result = call(out);
    if (result !== CU.SUCCESS) {
      if (isSticky(result)) this.#check(result, doing);
      throw this.#library.error(code, result, doing);
    }
    return out[0] ?? 0n;
  }

  #call(doing: string, name: DriverFunction, ...values: ForeignValue[]): void {
    this.#check(this.#library.result(name, ...values), doing);
  }

  #check(result: number, doing: string): void {
    if (result === CU.SUCCESS) return;
    if (!isSticky(result)) throw this.#library.error("MTA833", result, doing);
    this.#broken = this.#library.error("MTA834", result, `a kernel failed, as ${doing} showed`);
    throw this.#broken;
  }
}
