import { type ChildProcessWithoutNullStreams, execFile, spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { checkSource } from "../../compiler/compile/checked-source.ts";
import { compileKernels } from "../../compiler/compile/kernels.ts";
import { emitPythonPackage } from "../../compiler/python/index.ts";
import type { PackageLayout } from "../../compiler/python/layouts.ts";
import { parseSafetensors, type StoredTensor, writeSafetensors } from "../../runtime/safetensors/index.ts";

/** The Python that has torch, ruff, mypy and pyright. */
const { MTAC_PYTHON } = process.env;
export const PYTHON = MTAC_PYTHON || "python3";

/**
 * Runs a program of that Python; gives what it prints.
 *
 * @param warnings Whether what it says on stderr follows, as the results of unittest do.
 * @throws Error with all that it said where it fails.
 */
export async function python(
  args: readonly string[],
  folder: string,
  warnings = false,
  variables: Readonly<Record<string, string>> = {},
): Promise<string> {
  const env = { ...process.env, PYRIGHT_PYTHON_IGNORE_WARNINGS: "1", ...variables };
  try {
    const { stdout, stderr } = await promisify(execFile)(PYTHON, args, {
      cwd: folder,
      env,
      maxBuffer: 2 ** 26,
    });
    return warnings ? stdout + stderr : stdout;
  } catch (cause) {
    const said = cause instanceof Error && "stdout" in cause && "stderr" in cause;
    throw new Error(`${args.join(" ")}\n${said ? `${cause.stdout}${cause.stderr}` : String(cause)}`);
  }
}

/** Writes files into a folder, with the folders that they need. */
export function writeFiles(folder: string, files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) {
    const file = join(folder, name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
}

/** The package of a spec's text, as files; with kernels for CUDA where they matter. */
export function packageOf(
  spec: string,
  file: string,
  cuda = false,
  layout: PackageLayout = "package",
): Readonly<Record<string, string>> {
  const compiled = compileKernels(checkSource(spec, file).spec, { targets: ["cpu"] });
  return emitPythonPackage(compiled.pipelines, compiled.stacks, compiled.provenance, { cuda, layout });
}

/** What the server computes: a call of a package's attention. */
export interface Request {
  readonly folder: string;
  readonly package: string;
  /** The function's name in `functional`. */
  readonly constant: string;
  readonly type: "float32" | "float64";
  readonly layer: number | null;
}

/** A Python process that computes what packages are for: torch is loaded once. */
export class PythonServer {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #scratch: string;
  #answer: { resolve(line: string): void; reject(error: Error): void } | null = null;
  #said = "";
  #end: Error | null = null;

  /**
   * @param scratch A folder for tensors.
   * @param program Which program of this folder answers.
   */
  constructor(scratch: string, program = "server.py", environment: Readonly<Record<string, string>> = {}) {
    this.#scratch = scratch;
    const file = fileURLToPath(new URL(program, import.meta.url));
    const env = { ...process.env, ...environment };
    this.#child = spawn(PYTHON, ["-u", file], { stdio: "pipe", env });
    this.#child.stderr.on("data", (text: Buffer) => {
      this.#said += text.toString();
    });
    createInterface({ input: this.#child.stdout }).on("line", (line) => this.#answer?.resolve(line));
    const end = (why: string): void => {
      this.#end ??= new Error(`${PYTHON} ${why}\n${this.#said}`);
      this.#answer?.reject(this.#end);
    };
    // Writing to a process that is gone: its end tells more.
    this.#child.stdin.on("error", () => undefined);
    this.#child.once("error", (error) => end(error.message));
    this.#child.once("close", (code) => end(`ended with ${code}`));
  }

  /** Computes o, lse and gradients. */
  async compute(
    request: Request,
    tensors: ReadonlyMap<string, StoredTensor>,
  ): Promise<ReadonlyMap<string, StoredTensor>> {
    const [inputs, results] = [join(this.#scratch, "inputs"), join(this.#scratch, "results")];
    writeFileSync(inputs, writeSafetensors(tensors));
    const line = await this.ask({ ...request, inputs, results });
    if (line !== "{}") throw new Error(line);
    return parseSafetensors(readFileSync(results), results);
  }

  /** The line that answers a request. */
  ask(request: object): Promise<string> {
    return new Promise<string>((resolve, reject) => {
      this.#answer = { resolve, reject };
      if (this.#end !== null) reject(this.#end);
      this.#child.stdin.write(`${JSON.stringify(request)}\n`);
    });
  }

  close(): void {
    this.#answer = null;
    this.#child.kill();
  }
}
