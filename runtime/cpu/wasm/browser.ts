import { CpuDevice, type CpuOptions, checkThreads } from "../device.ts";
import { CpuError } from "../errors.ts";
import { type ModuleName, openWasm as openLibrary } from "./library.ts";
import { type CpuWorker, type PartMessage, WORKER_SOURCE, type WorkerStart } from "./team.ts";

/** Literal, each by itself: so bundlers see which files there are. */
const FILES: Readonly<Record<ModuleName, URL>> = {
  relaxed: new URL("../../templates/c/relaxed.wasm", import.meta.url),
  plain: new URL("../../templates/c/plain.wasm", import.meta.url),
};

/** Where the modules come from, in pages that serve them themselves. */
export interface WasmOptions extends CpuOptions {
  /** Instead of the package's own files: where each module is fetched from. */
  readonly modules?: Readonly<Record<ModuleName, string | URL>>;
}

/**
 * Opens the processor as a device in a page or worker. Threads need shared memory, which browsers give to cross-origin-isolated pages only
 * (`crossOriginIsolated`); elsewhere calls run on the thread that makes them.
 *
 * @throws CpuError MTA885 (no SIMD), MTA886 (threads), MTA884 (a module cannot be fetched).
 */
export async function openWasm(options: WasmOptions = {}): Promise<CpuDevice> {
  const threads = checkThreads(options);
  const { modules = FILES } = options;
  const isolated = globalThis.crossOriginIsolated === true && typeof Worker === "function";
  const library = await openLibrary({
    read: (name) => fetchModule(modules[name]),
    start: isolated ? (start) => new PageWorker(start) : null,
    threads: threads ?? navigator.hardwareConcurrency,
  });
  return new CpuDevice(library);
}

async function fetchModule(file: string | URL): Promise<Uint8Array<ArrayBuffer>> {
  const failed = (why: string, cause?: unknown): CpuError =>
    new CpuError(
      "MTA884",
      `the module ${file} cannot be fetched: ${why}`,
      cause === undefined ? {} : { cause },
    );
  let response: Response;
  try {
    response = await fetch(file);
  } catch (cause) {
    throw failed(cause instanceof Error ? cause.message : String(cause), cause);
  }
  if (!response.ok) throw failed(`${response.status} ${response.statusText}`);
  return new Uint8Array(await response.arrayBuffer());
}

class PageWorker implements CpuWorker {
  readonly #worker: Worker;

  constructor(start: WorkerStart) {
    const source = URL.createObjectURL(new Blob([WORKER_SOURCE], { type: "text/javascript" }));
    this.#worker = new Worker(source);
    URL.revokeObjectURL(source);
    this.#worker.postMessage(start);
  }

  compute(message: PartMessage): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#worker.onmessage = ({ data }: MessageEvent<string | null>) => {
        if (data === null) resolve();
        else reject(new Error(data));
      };
      this.#worker.onerror = ({ message: fault }) => reject(new Error(fault));
      this.#worker.postMessage(message);
    });
  }

  end(): void {
    this.#worker.terminate();
  }
}
