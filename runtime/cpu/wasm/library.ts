import { CpuError, noMemory } from "../errors.ts";
import type { CpuLibrary, CpuMemory, CpuPass } from "../library.ts";
import { Heap } from "./heap.ts";
import { chooseModule, compileModule, type ModuleName, newMemory } from "./module.ts";
import { type CpuWorker, Team, type WorkerStart } from "./team.ts";

/** What the host of a module gives: Node and browsers differ in both. */
export interface WasmHost {
  /** The bytes of a prebuilt module. */
  read(name: ModuleName): Promise<Uint8Array<ArrayBuffer>>;
  /** Starts a thread, which may fail; null where there are none. */
  readonly start: ((start: WorkerStart) => CpuWorker) | null;
  readonly threads: number;
  /** Modules to choose from, the best first: all, if not given. */
  readonly modules?: readonly ModuleName[];
}

const PAGE = 2 ** 16;
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
 * The attention as WebAssembly: the fastest of the prebuilt modules that this engine takes. Where a thread cannot be started, calls
 * run on the one that makes them.
 *
 * @throws CpuError MTA885 (no WebAssembly, no SIMD), MTA884 (a module cannot be loaded).
 */
export async function openWasm(host: WasmHost): Promise<CpuLibrary> {
  const name = chooseModule(host.modules);
  const memory = newMemory();
  const module = await compileModule(name, await host.read(name), memory);
  const library = new WasmLibrary(name, module, memory, host);
  await library.tryThreads();
  return library;
}

class WasmLibrary implements CpuLibrary {
  readonly kind = "wasm";
  readonly description: string;
  readonly lanes = 4;
  readonly forward: CpuPass;
  readonly #threads: number;
  readonly #memory: WebAssembly.Memory;
  readonly #exports: Exports;
  readonly #heap: Heap;
  readonly #team: Team | null;
  /** Where the parts of a call are counted that are prepared. */
  readonly #counter: CpuMemory;
  /** The call before: workers take one at a time. */
  #last: Promise<void> = Promise.resolve();

  constructor(
    name: ModuleName,
    module: WebAssembly.Module,
    memory: WebAssembly.Memory,
    { start, threads }: WasmHost,
  ) {
    this.#threads = threads;
    this.#memory = memory;
    this.description = `WebAssembly with ${name === "relaxed" ? "relaxed " : ""}SIMD, 4 floats a vector`;
    const { exports } = new WebAssembly.Instance(module, { env: { memory } });
    if (!isLibrary(exports)) throw new RangeError(`the module ${name} is not mtac's`);
    this.#exports = exports;
    this.#heap = new Heap(Number(exports.__heap_base.value), (end) => this.#grow(end));
    this.#counter = this.allocate(4, "counter");
    this.forward = {
      workspaceBytes: (words, parts) => this.#exports.workspace_bytes(Number(words.address), parts),
      compute: (words, workspace, parts) => this.#compute(words, workspace, parts),
    };
    // Threads need memory that they share.
    this.#team =
      start === null || threads === 1 || memory.buffer instanceof ArrayBuffer
        ? null
        : new Team(() => {
            const stack = this.allocate(STACK_BYTES, "a thread's stack");
            return start({ module, memory, stackTop: Number(stack.address) + STACK_BYTES });
          });
  }

  /** One where there are no others, or none can be started. */
  get threads(): number {
    return this.#team?.works === true ? this.#threads : 1;
  }

  /** Starts the first thread, so that `threads` is right before the first call. */
  async tryThreads(): Promise<void> {
    await this.#team?.gather(1);
  }

  allocate(bytes: number, label: string): CpuMemory {
    const address = this.#heap.take(bytes);
    if (address === null) throw noMemory(`${label} (${bytes} bytes): WebAssembly reaches 4 GiB`);
    return { address, size: bytes };
  }

  free({ address, size }: CpuMemory): void {
    this.#heap.give(Number(address), size);
  }

  bytesOf({ address, size }: CpuMemory): Uint8Array<ArrayBufferLike> {
    return new Uint8Array(this.#memory.buffer, Number(address), size);
  }

  async backward(): Promise<CpuPass> {
    throw new CpuError("MTA879", `${this.description} has no backward pass`, {
      remedy: 'install a C compiler and koffi; `openCpu({ library: "native" })` says what is missing',
    });
  }

  async close(): Promise<void> {
    await this.#last;
    this.#team?.end();
  }

  /** One call at a time. */
  #compute(words: CpuMemory, workspace: CpuMemory, parts: number): Promise<void> {
    const next = this.#last.then(() =>
      this.#computeNow(Number(words.address), Number(workspace.address), parts),
    );
    this.#last = next.catch(() => undefined);
    return next;
  }

  async #computeNow(words: number, workspace: number, parts: number): Promise<void> {
    const workers = parts === 1 ? null : ((await this.#team?.gather(parts)) ?? null);
    if (workers === null) {
      for (let part = 0; part < parts; part++) this.#exports.prepare(words, workspace, part, parts);
      for (let part = 0; part < parts; part++) this.#exports.compute(words, workspace, part, parts);
      return;
    }
    const counter = Number(this.#counter.address) / 4;
    Atomics.store(new Int32Array(this.#memory.buffer), counter, 0);
    // All have to end, whatever becomes of one: what they write to is given back then.
    const ended = await Promise.allSettled(
      workers.map((worker, part) => worker.compute({ words, workspace, part, parts, counter })),
    );
    for (const each of ended) if (each.status === "rejected") throw each.reason;
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
