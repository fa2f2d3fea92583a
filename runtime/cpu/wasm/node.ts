import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { setFlagsFromString } from "node:v8";
import { Worker } from "node:worker_threads";
import { C_FOLDER } from "../files.ts";
import type { CpuLibrary } from "../library.ts";
import { openWasm } from "./library.ts";
import type { ModuleName } from "./module.ts";
import { type CpuWorker, type PartMessage, WORKER_SOURCE, type WorkerStart } from "./team.ts";

/**
 * The WebAssembly library in Node.
 *
 * @param modules The only ones that are taken, if given: the tests run each.
 * @throws CpuError MTA885
 */
export function openNodeWasm(threads: number | null, modules?: readonly ModuleName[]): Promise<CpuLibrary> {
  // Node 20 knows relaxed SIMD, but does not offer it by itself.
  setFlagsFromString("--experimental-wasm-relaxed-simd");
  return openWasm({
    read: async (name) => new Uint8Array(await readFile(new URL(`${name}.wasm`, C_FOLDER))),
    start: (start) => new NodeWorker(start),
    threads: threads ?? availableParallelism(),
    ...(modules === undefined ? {} : { modules }),
  });
}

class NodeWorker implements CpuWorker {
  readonly ready: Promise<void>;
  readonly #worker = new Worker(WORKER_SOURCE, { eval: true });

  constructor(start: WorkerStart) {
    this.ready = this.#ask(start);
  }

  compute(message: PartMessage): Promise<void> {
    return this.#ask(message);
  }

  end(): void {
    void this.#worker.terminate();
  }

  /** A program whose work is done ends, whatever threads there are: they count only while they have something to do. */
  async #ask(message: WorkerStart | PartMessage): Promise<void> {
    this.#worker.ref();
    try {
      await new Promise<void>((resolve, reject) => {
        this.#worker.once("message", (fault: string | null) =>
          fault === null ? resolve() : reject(new Error(fault)),
        );
        this.#worker.once("error", reject);
        this.#worker.postMessage(message);
      });
    } finally {
      this.#worker.removeAllListeners("message").removeAllListeners("error");
      this.#worker.unref();
    }
  }
}
