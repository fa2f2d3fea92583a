import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { buildSync } from "esbuild";
import { afterAll } from "vitest";

/** A folder that is removed after the file's tests. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), "mtac-tune-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A process that runs `worker.ts`. */
export class Worker {
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;
  readonly #lines: string[] = [];
  #rest = "";
  #errors = "";
  #wake: (() => void) | null = null;

  constructor(program: string, args: readonly (string | number)[]) {
    this.#child = spawn(process.execPath, [program, ...args.map(String)], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#closed = once(this.#child, "close");
    this.#child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      const lines = (this.#rest + text).split("\n");
      // Killed in the middle of a word, it has not said it.
      this.#rest = lines.pop() ?? "";
      this.#lines.push(...lines);
      this.#wake?.();
    });
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#errors += text;
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Waits until it has said a number of lines, "ready" among them. */
  async said(lines: number): Promise<void> {
    const ended = this.#closed.then(() => true);
    while (this.#lines.length < lines) {
      const heard = new Promise<false>((resolve) => {
        this.#wake = () => resolve(false);
      });
      if (await Promise.race([ended, heard])) throw new Error(`the worker has ended: ${this.#errors}`);
    }
  }

  /** Waits for its end, and gives what it has said, without "ready". @throws Error when it failed */
  async finished(): Promise<readonly string[]> {
    await this.#closed;
    if (this.#child.exitCode !== 0) throw new Error(`the worker failed: ${this.#errors}`);
    return this.#lines.slice(1);
  }

  /** Ends it at once, and gives what it had said before. */
  async kill(): Promise<readonly string[]> {
    this.#child.kill("SIGKILL");
    await this.#closed;
    if (this.#errors !== "") throw new Error(`the worker failed before it was killed: ${this.#errors}`);
    return this.#lines.slice(1);
  }
}

/** Makes workers: bundled once, since a process that compiles TypeScript takes too long to start fifty times. */
export function workerFactory(folder: string): (...args: readonly (string | number)[]) => Worker {
  const program = path.join(folder, "worker.mjs");
  buildSync({
    entryPoints: [path.join(import.meta.dirname, "worker.ts")],
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node20.19",
    outfile: program,
    banner: {
      js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);',
    },
    logLevel: "error",
  });
  return (...args) => new Worker(program, args);
}

export function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
