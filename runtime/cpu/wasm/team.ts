/** A part of a call, for a worker. */
export interface PartMessage {
  readonly words: number;
  readonly workspace: number;
  readonly part: number;
  readonly parts: number;
  /** Index of the word in memory that counts the parts which are prepared. */
  readonly counter: number;
}

/** A thread that computes parts of calls; Node's and the browsers' workers both are. */
export interface CpuWorker {
  /** Rejects where the thread cannot be started. */
  readonly ready: Promise<void>;
  compute(message: PartMessage): Promise<void>;
  end(): void;
}

/** What a worker needs to begin: it has an instance of its own over the memory of all, with a stack of its own. */
export interface WorkerStart {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly stackTop: number;
}

/** The threads of a library, started as calls need them, and kept. */
export class Team {
  readonly #start: () => CpuWorker;
  readonly #workers: CpuWorker[] = [];
  #works = true;

  constructor(start: () => CpuWorker) {
    this.#start = start;
  }

  /** False from the moment on that a thread could not be started: that is not tried again. */
  get works(): boolean {
    return this.#works;
  }

  /** So many threads; null where they cannot be started (a Content-Security-Policy without `worker-src blob:`). */
  async gather(count: number): Promise<readonly CpuWorker[] | null> {
    if (!this.#works) return null;
    const known = this.#workers.length;
    try {
      while (this.#workers.length < count) this.#workers.push(this.#start());
      await Promise.all(this.#workers.slice(known).map(({ ready }) => ready));
      return this.#workers.slice(0, count);
    } catch {
      this.#works = false;
      this.end();
      return null;
    }
  }

  end(): void {
    for (const worker of this.#workers.splice(0)) worker.end();
  }
}

/**
 * What a worker runs. It is text, not a module: so it starts from every bundle and in every page, without a file of its own. Workers of a call
 * wait for each other where all have prepared their parts, which only threads of their own may do (`Atomics.wait`).
 */
export const WORKER_SOURCE = `
const port = typeof require === "function" ? require("node:worker_threads").parentPort : self;
let exports, memory;
const receive = (message) => {
  try {
    if (message.module !== undefined) {
      memory = message.memory;
      exports = new WebAssembly.Instance(message.module, { env: { memory } }).exports;
      exports.__stack_pointer.value = message.stackTop;
      return port.postMessage(null);
    }
    const { words, workspace, part, parts, counter } = message;
    const counts = new Int32Array(memory.buffer);
    let prepared;
    try {
      exports.prepare(words, workspace, part, parts);
    } finally {
      // Counted even where it fails: the others would wait for ever.
      prepared = Atomics.add(counts, counter, 1) + 1;
      if (prepared === parts) Atomics.notify(counts, counter);
    }
    if (prepared < parts) for (let seen; (seen = Atomics.load(counts, counter)) < parts; ) Atomics.wait(counts, counter, seen);
    exports.compute(words, workspace, part, parts);
    port.postMessage(null);
  } catch (error) {
    port.postMessage(String(error));
  }
};
if (typeof require === "function") port.on("message", receive);
else port.onmessage = ({ data }) => receive(data);
`;
