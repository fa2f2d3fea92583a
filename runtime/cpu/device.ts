import { describeValue } from "../contract/arguments.ts";
import { MOST_THREADS } from "../contract/library-parts.ts";
import { BufferPool } from "../contract/pool.ts";
import { CpuError } from "./errors.ts";
import type { CpuLibrary, CpuMemory } from "./library.ts";

/** How a device of the processor is opened. */
export interface CpuOptions {
  /** Threads that calls use at most: as many as run at once, if not given. */
  readonly threads?: number;
}

/**
 * The processor as a device: the compiled attention (`CpuLibrary`), and the workspace of earlier calls, which later ones use again. Made by `openCpu`
 * (Node) or `openWasm` (browsers).
 */
export class CpuDevice {
  readonly library: CpuLibrary;
  /** The processor's model; empty where nobody says, as in pages. */
  readonly processor: string;
  readonly pool: BufferPool<CpuMemory>;
  /** What tensors lie in. */
  readonly #live = new WeakSet<CpuMemory>();
  readonly #constants = new Map<string, CpuMemory>();
  /** Calls under way. */
  readonly #calls = new Set<Promise<unknown>>();
  #closed = false;

  constructor(library: CpuLibrary, processor = "") {
    this.library = library;
    this.processor = processor;
    this.pool = new BufferPool<CpuMemory>({
      create: (size, _usage, label) => this.#allocate(size, label),
      free: (memory) => library.free(memory),
      largest: Number.MAX_SAFE_INTEGER,
    });
  }

  /** For people, for example `C by gcc 12.2.0, 16 floats a vector, 2 threads`. */
  get description(): string {
    const { description, threads } = this.library;
    return `${description}, ${threads} ${threads === 1 ? "thread" : "threads"}`;
  }

  /** Memory for a tensor. @throws CpuError MTA887, MTA888 */
  allocate(bytes: number, label: string): CpuMemory {
    this.checkUsable();
    const memory = this.#allocate(bytes, label);
    this.#live.add(memory);
    return memory;
  }

  /** Memory that holds these bytes: the same one for all who ask for the same, as long as the device is open. For few bytes. */
  constant(bytes: Uint8Array<ArrayBuffer>, label: string): CpuMemory {
    const key = `${label} ${bytes.join()}`;
    const known = this.#constants.get(key);
    if (known !== undefined) return known;
    const memory = this.allocate(Math.max(bytes.length, 1), label);
    this.library.bytesOf(memory).set(bytes);
    this.#constants.set(key, memory);
    return memory;
  }

  /** What goes with its device is gone already. */
  free(memory: CpuMemory): void {
    this.#live.delete(memory);
    if (!this.#closed) this.library.free(memory);
  }

  /** Whether a memory was allocated here, and not freed since. */
  holds(memory: CpuMemory): boolean {
    return this.#live.has(memory);
  }

  /** Runs a call that borrows from the device; `close` waits for its end. */
  async during<T>(call: () => Promise<T>): Promise<T> {
    const running = call();
    this.#calls.add(running);
    try {
      return await running;
    } finally {
      this.#calls.delete(running);
    }
  }

  /** @throws CpuError MTA887: the device was closed. */
  checkUsable(): void {
    if (this.#closed)
      throw new CpuError("MTA887", `the device (${this.library.description}) was closed`, {
        remedy: "open it again, and call launcher.rebuild(device)",
      });
  }

  /** Waits for calls under way, ends the threads, frees all memory. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.allSettled(this.#calls);
    this.pool.clear();
    await this.library.close();
  }

  /** What idles in the pool is given up before memory is called exhausted. */
  #allocate(bytes: number, label: string): CpuMemory {
    try {
      return this.library.allocate(bytes, label);
    } catch (error) {
      if (this.pool.idleBytes === 0) throw error;
      this.pool.clear();
      return this.library.allocate(bytes, label);
    }
  }
}

/** @throws CpuError MTA886: a number of threads that there cannot be. */
export function checkThreads({ threads }: CpuOptions): number | null {
  if (threads === undefined) return null;
  if (Number.isInteger(threads) && threads >= 1 && threads <= MOST_THREADS) return threads;
  throw new CpuError(
    "MTA886",
    `threads is ${describeValue(threads)}: it must be a whole number from 1 to ${MOST_THREADS}`,
    { remedy: "leave `threads` out to use all" },
  );
}

/** @throws CpuError MTA887 (the device was closed), MTA899 (it is none). */
export function checkCpuDevice(device: unknown): void {
  if (!(device instanceof CpuDevice))
    throw new CpuError("MTA899", `a CpuDevice is needed, not ${describeValue(device)}`, {
      remedy: "pass what openCpu() or openWasm() gives, awaited",
    });
  device.checkUsable();
}

/**
 * Processor and library as one text: results that were measured on one are not used on another. Pages do not know the model, and take results of all
 * that agree in the rest.
 */
export function deviceIdentity({ library, processor }: CpuDevice): string {
  const { kind, description, lanes, threads } = library;
  return [kind, description, processor, `${lanes} lanes`, `${threads} threads`].join("|");
}

/** Frees the workspace that earlier calls left on the device for later ones. */
export function releaseWorkspace(device: CpuDevice): void {
  device.pool.clear();
}
