import { execFile } from "node:child_process";
import { access, constants, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { CUDA_COMPILE_OPTIONS } from "../../contract/compile-options.ts";
import { CudaError } from "../errors.ts";
import { type CompileRequest, type CudaCompiler, shorten } from "./compiler.ts";

const run = promisify(execFile);

const { nvcc: OPTIONS } = CUDA_COMPILE_OPTIONS;

/** Far beyond what one kernel file takes. */
const TIMEOUT_MS = 300_000;
const MAX_LOG_BYTES = 2 ** 24;

/**
 * The nvcc at `given`, else the one on the PATH, else the one under CUDA_HOME or CUDA_PATH; null where there is none.
 *
 * @throws CudaError MTA817: the one that was asked for, or found, cannot be run.
 */
export async function findNvcc(given?: string): Promise<CudaCompiler | null> {
  const program = given ?? (await searchNvcc());
  if (program === null) return null;
  const [version, codes] = await Promise.all([
    ask(program, ["--version"]),
    // Toolkits before 11.1 lack this option; the kernels need 11.4.
    ask(program, ["--list-gpu-code"]),
  ]);
  const exact = /\bV(\d+\.\d+\.\d+)\b/.exec(version)?.[1];
  if (exact === undefined) {
    throw new CudaError("MTA817", `${program} does not tell its version: ${shorten(version, 5)}`, {
      remedy: "give the path of NVIDIA's nvcc",
    });
  }
  const capabilities = [...codes.matchAll(/\bsm_(\d+)\b/g)].map(([, digits]) => Number(digits));
  return {
    kind: "nvcc",
    version: exact,
    description: `nvcc ${exact} (${program})`,
    capabilities: capabilities.sort((a, b) => a - b),
    options: OPTIONS,
    compile: (request) => compile(program, request),
  };
}

async function searchNvcc(): Promise<string | null> {
  const { PATH = "", CUDA_HOME, CUDA_PATH } = process.env;
  const name = process.platform === "win32" ? "nvcc.exe" : "nvcc";
  const folders = PATH.split(path.delimiter).filter((folder) => folder !== "");
  for (const home of [CUDA_HOME, CUDA_PATH])
    if (home !== undefined && home !== "") folders.push(path.join(home, "bin"));
  for (const folder of folders) {
    const candidate = path.join(folder, name);
    try {
      await access(candidate, constants.X_OK);
      return candidate;
    } catch {
      // Not here.
    }
  }
  return null;
}

async function ask(program: string, args: readonly string[]): Promise<string> {
  try {
    const { stdout } = await run(program, [...args], { timeout: TIMEOUT_MS, maxBuffer: MAX_LOG_BYTES });
    return stdout;
  } catch (cause) {
    throw new CudaError("MTA817", `${program} cannot be run: ${reasonOf(cause)}`, { cause });
  }
}

async function compile(
  program: string,
  { text, file, architecture, output }: CompileRequest,
): Promise<Uint8Array> {
  const folder = await mkdtemp(path.join(os.tmpdir(), "mtac-nvcc-"));
  try {
    // Plain names, run inside the folder: line information and messages name the source as the artifact does.
    const input = `${path
      .basename(file)
      .replaceAll(/[^\w.-]/g, "_")
      .replace(/\.cu$/, "")
      .replace(/^-/, "_")}.cu`;
    const result = `kernels.${output}`;
    await writeFile(path.join(folder, input), text);
    const args = [`-${output}`, ...OPTIONS, `-arch=${architecture}`, "-o", result, input];
    try {
      await run(program, args, { cwd: folder, timeout: TIMEOUT_MS, maxBuffer: MAX_LOG_BYTES });
    } catch (cause) {
      if (!isExit(cause)) throw new CudaError("MTA817", `${program} failed: ${reasonOf(cause)}`, { cause });
      const log = shorten(`${cause.stderr}${cause.stdout}`);
      throw new CudaError("MTA813", `${file} does not compile for ${architecture} (${program}):\n${log}`, {
        cause,
      });
    }
    return await readFile(path.join(folder, result));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Whether the program ran and ended by itself with an error, as opposed to not having run, or been killed. */
function isExit(cause: unknown): cause is Error & { readonly stdout: string; readonly stderr: string } {
  return (
    cause instanceof Error &&
    "code" in cause &&
    typeof cause.code === "number" &&
    "stdout" in cause &&
    typeof cause.stdout === "string" &&
    "stderr" in cause &&
    typeof cause.stderr === "string"
  );
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
