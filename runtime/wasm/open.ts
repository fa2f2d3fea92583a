import { CpuDevice, type CpuOptions, checkThreads } from "../cpu/device.ts";
import { CpuError } from "../cpu/errors.ts";
import { openWasm as openLibrary } from "../cpu/wasm/library.ts";
import type { ModuleFile, ModuleName } from "../cpu/wasm/module.ts";
import { type CpuWorker, type PartMessage, WORKER_SOURCE, type WorkerStart } from "../cpu/wasm/team.ts";

/** Literal, each by itself: so bundlers see which files there are. Not before they are needed: scripts that are no modules have no address. */
const FILES: Readonly<Record<ModuleFile, () => URL>> = {
  relaxed: () => new URL("../../templates/c/relaxed.wasm", import.meta.url),
  plain: () => new URL("../../templates/c/plain.wasm", import.meta.url),
  "relaxed-backward": () => new URL("../../templates/c/relaxed-backward.wasm", import.meta.url),
  "plain-backward": () => new URL("../../templates/c/plain-backward.wasm", import.meta.url),
};

/** Where the modules come from, in pages that serve them themselves. */
export interface WasmOptions extends CpuOptions {
  /** Instead of the package's own files: where each module is fetched from. Pages that train need those of gradients, too. */
  readonly modules?: Readonly<Record<ModuleName, string | URL>> &
    Readonly<Partial<Record<ModuleFile, string | URL>>>;
}

/**
 * Opens the processor as a device in a page or worker. Threads need cross-origin-isolated pages (`crossOriginIsolated`) that may start
 * workers from blobs (a Content-Security-Policy, if there is one, with `worker-src blob:`); elsewhere calls run on the thread that makes them.
 *
 * @throws CpuError MTA885 (no WebAssembly, no SIMD), MTA886 (threads), MTA884 (a module cannot be fetched or compiled).
 */
export async function openWasm(options: WasmOptions = {}): Promise<CpuDevice> {
  const threads = checkThreads(options);
  const { modules } = options;
  // Typed as always there: Node 20 has no navigator.
  const { crossOriginIsolated, navigator }: { crossOriginIsolated?: boolean; navigator?: Navigator } =
    globalThis;
  const isolated = crossOriginIsolated === true && typeof Worker === "function";
  const library = await openLibrary({
    read: (name) => fetchModule(`${name}.wasm`, () => modules?.[name] ?? FILES[name]()),
    start: isolated ? (start) => new PageWorker(start) : null,
    threads: threads ?? navigator?.hardwareConcurrency ?? 1,
  });
  return new CpuDevice(library);
}

async function fetchModule(name: string, locate: () => string | URL): Promise<Uint8Array<ArrayBuffer>> {
  let file: string | URL = name;
  let reason: string;
  let cause: unknown;
  try {
    file = locate();
    const response = await fetch(file);
    if (response.ok) return new Uint8Array(await response.arrayBuffer());
    reason = `${response.status} ${response.statusText}`.trim();
  } catch (error) {
    reason = error instanceof Error ? error.message : String(error);
    cause = error;
  }
  throw new CpuError("MTA884", `the module ${file} cannot be fetched: ${reason}`, {
    cause,
    remedy: String(file).startsWith("file:")
      ? "in Node, open the processor with openCpu of mtac/runtime/cpu"
      : "serve the package's templates/c/relaxed.wasm and plain.wasm, and say where with openWasm({ modules })",
  });
}

class PageWorker implements CpuWorker {
  readonly ready: Promise<void>;
  readonly #worker: Worker;

  /** @throws where the page may start no such worker; some browsers tell it later, through `ready`. */
  constructor(start: WorkerStart) {
    const source = URL.createObjectURL(new Blob([WORKER_SOURCE], { type: "text/javascript" }));
    try {
      this.#worker = new Worker(source);
    } catch (error) {
      URL.revokeObjectURL(source);
      throw error;
    }
    // Not before it has started: not all browsers have fetched the source when the constructor is done.
    this.ready = this.#ask(start).finally(() => URL.revokeObjectURL(source));
  }

  compute(message: PartMessage): Promise<void> {
    return this.#ask(message);
  }

  end(): void {
    this.#worker.terminate();
  }

  #ask(message: WorkerStart | PartMessage): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#worker.onmessage = ({ data }: MessageEvent<string | null>) => {
        if (data === null) resolve();
        else reject(new Error(data));
      };
      this.#worker.onerror = (event) => reject(new Error(event.message || "the worker cannot be started"));
      this.#worker.postMessage(message);
    });
  }
}
