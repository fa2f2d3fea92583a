import { createHash } from "node:crypto";
import { describeValue } from "../contract/arguments.ts";
import { BufferPool, type Pooled } from "../contract/pool.ts";
import type { CudaAllocation, CudaBackend, CudaImage, CudaModule, CudaProperties } from "./backend.ts";
import type { KernelBuilder } from "./compile/builder.ts";
import { CudaError, hex } from "./errors.ts";

/** The source of a module: its text, and what else the artifact has for it. */
export interface ModuleSource {
  readonly file: string;
  readonly text: string | undefined;
  readonly images: Parameters<KernelBuilder["build"]>[0]["images"];
  /** What the source belongs to, for messages: `attention "toy"`. */
  readonly subject: string;
}

/**
 * A CUDA device, a real one (`openCuda`) or an emulated one (`openEmulatedCuda`). Keeps the workspace of earlier calls for
 * later ones, and the modules that launchers share.
 */
export class CudaDevice {
  readonly backend: CudaBackend;
  readonly pool: BufferPool<CudaAllocation>;
  readonly #builder: KernelBuilder;
  readonly #modules = new Map<string, Promise<CudaModule>>();
  /** Tensors' memory by address. */
  readonly #allocations = new Map<bigint, CudaAllocation>();
  /** Calls under way. */
  readonly #calls = new Set<Promise<unknown>>();
  #closed = false;

  constructor(backend: CudaBackend, builder: KernelBuilder) {
    this.backend = backend;
    this.#builder = builder;
    this.pool = new BufferPool<CudaAllocation>({
      create: (size, _usage, label) => this.#allocate(size, label),
      free: (allocation) => backend.free(allocation),
      largest: Number.MAX_SAFE_INTEGER,
    });
  }

  /** `driver` for a GPU, `emulated` for the processor. */
  get kind(): CudaBackend["kind"] {
    return this.backend.kind;
  }

  /** What is known of the device. */
  get properties(): CudaProperties {
    return this.backend.properties;
  }

  /** Memory for a tensor. @throws CudaError MTA805, MTA806, MTA832. */
  allocate(bytes: number, label: string): CudaAllocation {
    this.checkUsable();
    const allocation = this.#allocate(bytes, label);
    this.#allocations.set(allocation.address, allocation);
    return allocation;
  }

  /** @throws CudaError MTA806, MTA825 (no memory that `allocate` gave, or freed before). */
  free(address: bigint): void {
    this.checkUsable();
    const allocation = this.#allocations.get(address);
    if (allocation === undefined) {
      throw new CudaError(
        "MTA825",
        `the address ${hex(address)} cannot be freed: it is no live tensor of this device`,
        {
          remedy: "free each tensor once, and only tensors that this runtime allocated",
        },
      );
    }
    this.#allocations.delete(address);
    this.backend.free(allocation);
  }

  /** Memory for the length of a call. The emulator gets exactly what is asked for, unused: so it sees every stray access. */
  borrow(bytes: number, label: string): Pooled<CudaAllocation> {
    const size = Math.max(bytes, 1);
    if (this.kind === "driver") return this.pool.acquire(size, 0, label);
    return { buffer: this.#allocate(size, label), size, usage: 0 };
  }

  /** Returns workspace that was borrowed for a call. */
  giveBack(borrowed: Pooled<CudaAllocation>): void {
    if (this.kind === "driver") this.pool.release(borrowed);
    else this.backend.free(borrowed.buffer);
  }

  /** As `free`, for memory that goes with its device if that was closed first. */
  freeIfOpen(address: bigint): void {
    if (!this.#closed) this.free(address);
  }

  /**
   * Compiles and loads a source, or finds it loaded.
   *
   * @throws CudaError MTA806, MTA812 … MTA817.
   */
  load(source: ModuleSource): Promise<CudaModule> {
    this.checkUsable();
    const key = moduleKey(source);
    let module = this.#modules.get(key);
    if (module === undefined) {
      module = this.#load(source);
      this.#modules.set(key, module);
      // What failed once may work later: a compiler installed meanwhile, memory freed.
      module.catch(() => this.#modules.delete(key));
    }
    return module;
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

  /** @throws CudaError MTA806 */
  checkUsable(): void {
    if (this.#closed) throw new CudaError("MTA806", `the device ${this.properties.name} was closed`);
  }

  /** Waits for work under way and frees everything that the device holds. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.allSettled(this.#calls);
    const loaded = await Promise.allSettled(this.#modules.values());
    await this.backend.finish().catch(() => undefined);
    this.pool.clear();
    for (const allocation of this.#allocations.values()) this.backend.free(allocation);
    this.#allocations.clear();
    for (const module of loaded) if (module.status === "fulfilled") this.backend.unload(module.value);
    this.backend.close();
  }

  async #load({ file, text, images, subject }: ModuleSource): Promise<CudaModule> {
    const image: CudaImage = await this.#builder.build({
      file,
      text,
      images,
      subject,
      properties: this.properties,
      accepts: this.backend.images,
    });
    this.checkUsable();
    return this.backend.load(image, file);
  }

  /** What idles in the pool is given up before memory is called exhausted. */
  #allocate(bytes: number, label: string): CudaAllocation {
    try {
      return this.backend.allocate(bytes, label);
    } catch (error) {
      if (!(error instanceof CudaError) || error.code !== "MTA832" || this.pool.idleBytes === 0) throw error;
      this.pool.clear();
      return this.backend.allocate(bytes, label);
    }
  }
}

/** @throws CudaError MTA806 (the device was closed), MTA842 (it is none). */
export function checkCudaDevice(device: unknown): void {
  if (!(device instanceof CudaDevice))
    throw new CudaError("MTA842", `a CudaDevice is needed, not ${describeValue(device)}`);
  device.checkUsable();
}

/** Sources of the same name may differ between artifacts, and so may the images of sources that are not shipped. */
function moduleKey({ file, text, images }: ModuleSource): string {
  const hash = createHash("sha256").update(JSON.stringify([file, text ?? null]));
  for (const { architecture, kind, data } of images) hash.update(`\n${architecture} ${kind} `).update(data);
  return hash.digest("hex");
}

/** Frees the workspace that earlier calls left on the device for later ones. */
export function releaseWorkspace(device: CudaDevice): void {
  device.pool.clear();
}
