import { noMemory } from "../errors.ts";
import type { CpuLibrary, CpuMemory, CpuPass } from "../library.ts";
import { Heap } from "./heap.ts";
import { chooseModule, compileModule, type ModuleFile, type ModuleName, newMemory } from "./module.ts";
import { type CpuWorker, Team, type WorkerStart } from "./team.ts";

/** What the host of a module gives: Node and browsers differ in both. */
export interface WasmHost {
  /** The bytes of a prebuilt module. */
  read(name: ModuleFile): Promise<Uint8Array<ArrayBuffer>>;
  /** Starts a thread, which may fail; null where there are none. */
  readonly start: ((start: WorkerStart) => CpuWorker) | null;
  readonly threads: number;
  /** Modules to choose from, the best first: all, if not given. */
  readonly modules?: readonly ModuleName[];
}

const PAGE = 2 ** 16;
/** Of each worker; the module's own is as large. */
const STACK_BYTES = 2 ** 16;

/** The exports of `templates/c/wasm.c` and `wasm-backward.c`, and what the linker adds. */
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
  await library.forward.tryThreads();
  return library;
}

class WasmLibrary implements CpuLibrary {
  readonly kind = "wasm";
  readonly description: string;
  readonly lanes = 4;
  readonly forward: WasmPass;
  readonly #name: ModuleName;
  readonly #memory: WebAssembly.Memory;
  readonly #host: WasmHost;
  readonly #heap: Heap;
  #backward: Promise<WasmPass> | null = null;

  constructor(name: ModuleName, module: WebAssembly.Module, memory: WebAssembly.Memory, host: WasmHost) {
    this.#name = name;
    this.#memory = memory;
    this.#host = host;
    this.description = `WebAssembly with ${name === "relaxed" ? "relaxed " : ""}SIMD, 4 floats a vector`;
    const exports = instantiate(name, module, memory);
    // Modules have no data of their own: all that there is above their stack is free.
    this.#heap = new Heap(Number(exports.__heap_base.value), (end) => this.#grow(end));
    this.forward = this.#pass(module, exports);
  }

  /** One where there are no others, or none can be started. */
  get threads(): number {
    return this.forward.hasThreads ? this.#host.threads : 1;
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

  backward(): Promise<CpuPass> {
    this.#backward ??= this.#loadBackward().catch((error) => {
      // A failure is not kept: the file may be there the next time.
      this.#backward = null;
      throw error;
    });
    return this.#backward;
  }

  async close(): Promise<void> {
    await this.forward.end();
    await (await this.#backward)?.end();
  }

  async #loadBackward(): Promise<WasmPass> {
    const name = `${this.#name}-backward` as const;
    const module = await compileModule(name, await this.#host.read(name), this.#memory);
    return this.#pass(module, instantiate(name, module, this.#memory));
  }

  #pass(module: WebAssembly.Module, exports: Exports): WasmPass {
    const memory = this.#memory;
    const { start, threads } = this.#host;
    const counter = Number(this.allocate(4, "counter").address);
    // Threads need memory that they share.
    if (start === null || threads === 1 || memory.buffer instanceof ArrayBuffer)
      return new WasmPass(exports, memory, counter, null);
    const team = new Team(() => {
      const stack = this.allocate(STACK_BYTES, "a thread's stack");
      return start({ module, memory, stackTop: Number(stack.address) + STACK_BYTES });
    });
    return new WasmPass(exports, memory, counter, team);
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

/** One module with the threads that run it. */
class WasmPass implements CpuPass {
  readonly #exports: Exports;
  readonly #memory: WebAssembly.Memory;
  readonly #team: Team | null;
  /** Where the parts of a call are counted that are prepared. */
  readonly #counter: number;
  /** The call before: workers take one at a time. */
  #last: Promise<void> = Promise.resolve();

  constructor(exports: Exports, memory: WebAssembly.Memory, counter: number, team: Team | null) {
    this.#exports = exports;
    this.#memory = memory;
    this.#counter = counter / 4;
    this.#team = team;
  }

  get hasThreads(): boolean {
    return this.#team?.works === true;
  }

  /** Starts the first thread, so that it is known before the first call whether there are any. */
  async tryThreads(): Promise<void> {
    await this.#team?.gather(1);
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

  async end(): Promise<void> {
    await this.#last;
    this.#team?.end();
  }

  async #compute(words: number, workspace: number, parts: number): Promise<void> {
    const workers = parts === 1 ? null : ((await this.#team?.gather(parts)) ?? null);
    if (workers === null) {
      // In one part, which waits for nobody; its workspace is no larger than that of several.
      this.#exports.prepare(words, workspace, 0, 1);
      this.#exports.compute(words, workspace, 0, 1);
      return;
    }
    const counter = this.#counter;
    Atomics.store(new Int32Array(this.#memory.buffer), counter, 0);
    // All have to end, whatever becomes of one: what they write to is given back then.
    const ended = await Promise.allSettled(
      workers.map((worker, part) => worker.compute({ words, workspace, part, parts, counter })),
    );
    for (const each of ended) if (each.status === "rejected") throw each.reason;
  }
}

function instantiate(name: string, module: WebAssembly.Module, memory: WebAssembly.Memory): Exports {
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  if (!isLibrary(exports)) throw new RangeError(`the module ${name} is not mtac's`);
  return exports;
}

function isLibrary(exports: object): exports is Exports {
  return (
    "workspace_bytes" in exports && "prepare" in exports && "compute" in exports && "__heap_base" in exports
  );
}
