import { CpuError } from "../errors.ts";
import type { CpuLibrary, CpuMemory } from "../library.ts";
import { Heap } from "./heap.ts";
import type { CpuWorker, WorkerStart } from "./team.ts";

/** What the host of a module gives: Node and browsers differ in both. */
export interface WasmHost {
  /** The bytes of a prebuilt module. */
  read(name: ModuleName): Promise<Uint8Array<ArrayBuffer>>;
  /** Starts a thread; null where there are none. */
  readonly start: ((start: WorkerStart) => CpuWorker) | null;
  readonly threads: number;
  /** Modules to choose from, the best first: all, if not given. */
  readonly modules?: readonly ModuleName[];
}

/** The prebuilt modules, the faster first: relaxed SIMD multiplies and adds in one instruction. */
const MODULES = ["relaxed", "plain"] as const;
export type ModuleName = (typeof MODULES)[number];

const PAGE = 2 ** 16;
/** What 32-bit addresses reach. */
const MOST_PAGES = 2 ** 16;
/** Of each worker; the module's own is as large. */
const STACK_BYTES = 2 ** 16;

/** The exports of `templates/c/wasm.c`, and what the linker adds. */
interface Exports {
  workspace_bytes(words: number, parts: number): number;
  prepare(words: number, workspace: number, part: number, parts: number): void;
  compute(words: number, workspace: number, part: number, parts: number): void;
  readonly __heap_base: WebAssembly.Global;
}

/**
 * The attention as WebAssembly: the fastest of the prebuilt modules that this engine takes.
 *
 * @throws CpuError MTA885 (no SIMD).
 */
export async function openWasm(host: WasmHost): Promise<CpuLibrary> {
  for (const name of host.modules ?? MODULES) {
    const bytes = await host.read(name);
    if (!WebAssembly.validate(bytes)) continue;
    const module = await WebAssembly.compile(bytes);
    return new WasmLibrary(name, module, host);
  }
  throw new CpuError("MTA885", "this WebAssembly engine has no SIMD instructions");
}

class WasmLibrary implements CpuLibrary {
  readonly kind = "wasm";
  readonly description: string;
  readonly lanes = 4;
  readonly threads: number;
  readonly #module: WebAssembly.Module;
  readonly #memory: WebAssembly.Memory;
  readonly #exports: Exports;
  readonly #heap: Heap;
  readonly #host: WasmHost;
  readonly #workers: CpuWorker[] = [];
  /** Where the parts of a call are counted that are prepared. */
  readonly #counter: CpuMemory;
  /** The call before: workers take one at a time. */
  #last: Promise<void> = Promise.resolve();

  constructor(name: ModuleName, module: WebAssembly.Module, host: WasmHost) {
    this.#module = module;
    this.#host = host;
    this.threads = host.start === null ? 1 : host.threads;
    this.description = `WebAssembly with ${name === "relaxed" ? "relaxed " : ""}SIMD, 4 floats a vector`;
    this.#memory = new WebAssembly.Memory({ initial: 4, maximum: MOST_PAGES, shared: true });
    const { exports } = new WebAssembly.Instance(module, { env: { memory: this.#memory } });
    if (!isLibrary(exports)) throw new RangeError(`the module ${name} is not mtac's`);
    this.#exports = exports;
    this.#heap = new Heap(Number(exports.__heap_base.value), (end) => this.#grow(end));
    this.#counter = this.allocate(4, "counter");
  }

  allocate(bytes: number, label: string): CpuMemory {
    const address = this.#heap.take(bytes);
    if (address === null)
      throw new CpuError(
        "MTA888",
        `there is no memory for ${label} (${bytes} bytes): WebAssembly reaches 4 GiB`,
      );
    return { address, size: bytes };
  }

  free({ address, size }: CpuMemory): void {
    this.#heap.give(Number(address), size);
  }

  bytesOf({ address, size }: CpuMemory): Uint8Array<ArrayBufferLike> {
    return new Uint8Array(this.#memory.buffer, Number(address), size);
  }

  workspaceBytes({ address }: CpuMemory, parts: number): number {
    return this.#exports.workspace_bytes(Number(address), parts);
  }

  compute(words: CpuMemory, workspace: CpuMemory, parts: number): Promise<void> {
    const next = this.#last.then(() =>
      this.#compute(Number(words.address), Number(workspace.address), parts),
    );
    this.#last = next.catch(() => undefined);
    return next;
  }

  async close(): Promise<void> {
    await this.#last;
    for (const worker of this.#workers.splice(0)) worker.end();
  }

  async #compute(words: number, workspace: number, parts: number): Promise<void> {
    const { start } = this.#host;
    if (parts === 1 || start === null) {
      for (let part = 0; part < parts; part++) this.#exports.prepare(words, workspace, part, parts);
      for (let part = 0; part < parts; part++) this.#exports.compute(words, workspace, part, parts);
      return;
    }
    while (this.#workers.length < parts) {
      const stack = this.allocate(STACK_BYTES, "a thread's stack");
      this.#workers.push(
        start({ module: this.#module, memory: this.#memory, stackTop: Number(stack.address) + STACK_BYTES }),
      );
    }
    const counter = Number(this.#counter.address) / 4;
    Atomics.store(new Int32Array(this.#memory.buffer), counter, 0);
    const team = this.#workers.slice(0, parts);
    await Promise.all(team.map((worker, part) => worker.compute({ words, workspace, part, parts, counter })));
  }

  #grow(end: number): boolean {
    const missing = Math.ceil((end - this.#memory.buffer.byteLength) / PAGE);
    if (missing <= 0) return true;
    try {
      this.#memory.grow(missing);
      return true;
    } catch {
      return false;
    }
  }
}

function isLibrary(exports: object): exports is Exports {
  return (
    "workspace_bytes" in exports && "prepare" in exports && "compute" in exports && "__heap_base" in exports
  );
}
