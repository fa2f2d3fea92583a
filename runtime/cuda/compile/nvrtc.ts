import path from "node:path";
import { CUDA_COMPILE_OPTIONS } from "../../contract/compile-options.ts";
import {
  type ForeignFunction,
  type ForeignLibrary,
  type ForeignType,
  loadKoffi,
  openLibrary,
} from "../../foreign/library.ts";
import { CudaError, noKoffi } from "../errors.ts";
import { type CompileRequest, type CudaCompiler, shorten } from "./compiler.ts";

const { nvrtc: OPTIONS } = CUDA_COMPILE_OPTIONS;

/** nvrtcResult (NVRTC documentation, "Error Handling"). */
const NVRTC_ERROR_COMPILATION = 6;

/** The functions of NVRTC that are used, with their parameters. */
const FUNCTIONS = {
  nvrtcVersion: ["void *", "void *"],
  nvrtcGetNumSupportedArchs: ["void *"],
  nvrtcGetSupportedArchs: ["void *"],
  nvrtcCreateProgram: ["void *", "str", "str", "int", "void *", "void *"],
  nvrtcDestroyProgram: ["void *"],
  nvrtcCompileProgram: ["uint64", "int", "void *"],
  nvrtcGetProgramLogSize: ["uint64", "void *"],
  nvrtcGetProgramLog: ["uint64", "void *"],
  nvrtcGetCUBINSize: ["uint64", "void *"],
  nvrtcGetCUBIN: ["uint64", "void *"],
  nvrtcGetPTXSize: ["uint64", "void *"],
  nvrtcGetPTX: ["uint64", "void *"],
} as const satisfies Record<string, readonly ForeignType[]>;

type FunctionName = keyof typeof FUNCTIONS;

/** What is put here is in use until then, whatever the garbage collector thinks. */
const inUse = new Set<object>();

/**
 * NVRTC, where its library is found: at `given`, at MTAC_LIBNVRTC, on the loader's path, or under CUDA_HOME or CUDA_PATH;
 * else null.
 *
 * @throws CudaError MTA802, MTA817: the library that was asked for cannot be loaded.
 */
export async function findNvrtc(given?: string): Promise<CudaCompiler | null> {
  const { MTAC_LIBNVRTC: environment } = process.env;
  const asked = given ?? (environment === "" ? undefined : environment);
  let koffi: Awaited<ReturnType<typeof loadKoffi>>;
  try {
    koffi = await loadKoffi(noKoffi);
  } catch (error) {
    if (asked !== undefined) throw error;
    return null;
  }
  const { library, reasons } = openLibrary(koffi, asked === undefined ? usualPaths() : [asked]);
  if (library !== null) return new Nvrtc(library);
  if (asked === undefined) return null;
  throw new CudaError("MTA817", `NVRTC cannot be loaded: ${reasons.join("; ")}`);
}

/** Newest first. */
function usualPaths(): string[] {
  const windows = process.platform === "win32";
  const names = windows
    ? ["nvrtc64_130_0.dll", "nvrtc64_120_0.dll", "nvrtc64_112_0.dll"]
    : ["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11.2", "libnvrtc.so"];
  const { CUDA_HOME, CUDA_PATH } = process.env;
  const homes = [CUDA_HOME, CUDA_PATH].filter((home) => home !== undefined && home !== "");
  const folder = windows ? "bin" : "lib64";
  return [...names, ...homes.flatMap((home) => names.map((name) => path.join(home ?? "", folder, name)))];
}

class Nvrtc implements CudaCompiler {
  readonly kind = "nvrtc";
  readonly version: string;
  readonly description: string;
  readonly capabilities: readonly number[];
  readonly options = OPTIONS;
  readonly #library: ForeignLibrary;
  readonly #bound = new Map<FunctionName, ForeignFunction>();

  constructor(library: ForeignLibrary) {
    this.#library = library;
    const numbers = new Int32Array(2);
    this.#call("nvrtcVersion", numbers.subarray(0, 1), numbers.subarray(1));
    this.version = `${numbers[0]}.${numbers[1]}`;
    this.description = `NVRTC ${this.version} (${library.path})`;
    this.capabilities = this.#supported();
  }

  async compile({ text, file, architecture, output }: CompileRequest): Promise<Uint8Array> {
    const handle = new BigUint64Array(1);
    const name = path.basename(file);
    this.#call("nvrtcCreateProgram", handle, text, name, 0, null, null);
    const program = handle[0] ?? 0n;
    try {
      const result = await this.#run(program, [...OPTIONS, `--gpu-architecture=${architecture}`]);
      if (result === NVRTC_ERROR_COMPILATION) {
        const log = shorten(this.#text(program, "nvrtcGetProgramLogSize", "nvrtcGetProgramLog"));
        throw new CudaError(
          "MTA813",
          `${file} does not compile for ${architecture} (${this.description}):\n${log}`,
        );
      }
      this.#check("nvrtcCompileProgram", result);
      const bytes =
        output === "cubin"
          ? this.#bytes(program, "nvrtcGetCUBINSize", "nvrtcGetCUBIN")
          : withoutNul(this.#bytes(program, "nvrtcGetPTXSize", "nvrtcGetPTX"));
      return bytes;
    } finally {
      this.#call("nvrtcDestroyProgram", handle);
    }
  }

  /** Compiles on another thread; options and their addresses must outlive the call. */
  async #run(program: bigint, options: readonly string[]): Promise<number> {
    const texts = options.map((option) => nulTerminated(option));
    const pointers = BigUint64Array.from(texts, (text) => this.#library.addressOf(text));
    const result = await this.#function("nvrtcCompileProgram").later(program, texts.length, pointers);
    inUse.add(texts).add(pointers);
    inUse.clear();
    return result;
  }

  /** Empty for a version that cannot tell (before 11.2). */
  #supported(): number[] {
    try {
      const count = new Int32Array(1);
      this.#call("nvrtcGetNumSupportedArchs", count);
      const list = new Int32Array(count[0] ?? 0);
      if (list.length > 0) this.#call("nvrtcGetSupportedArchs", list);
      return [...list].sort((a, b) => a - b);
    } catch {
      return [];
    }
  }

  #text(program: bigint, size: FunctionName, get: FunctionName): string {
    return Buffer.from(withoutNul(this.#bytes(program, size, get))).toString("utf8");
  }

  #bytes(program: bigint, size: FunctionName, get: FunctionName): Uint8Array {
    const length = new BigUint64Array(1);
    this.#call(size, program, length);
    const bytes = new Uint8Array(Number(length[0]));
    if (bytes.length > 0) this.#call(get, program, bytes);
    return bytes;
  }

  #call(name: FunctionName, ...values: Parameters<ForeignFunction>): void {
    this.#check(name, this.#function(name)(...values));
  }

  #check(name: FunctionName, result: number): void {
    if (result !== 0)
      throw new CudaError("MTA817", `${name} of ${this.#library.path} failed with nvrtcResult ${result}`);
  }

  #function(name: FunctionName): ForeignFunction {
    let bound = this.#bound.get(name);
    if (bound === undefined) {
      try {
        bound = this.#library.bind(name, FUNCTIONS[name]);
      } catch (cause) {
        throw new CudaError("MTA817", `${this.#library.path} has no function ${name}`, {
          remedy: "install NVRTC 11.4 or later",
          cause,
        });
      }
      this.#bound.set(name, bound);
    }
    return bound;
  }
}

function nulTerminated(text: string): Uint8Array {
  return Buffer.concat([Buffer.from(text, "utf8"), Buffer.alloc(1)]);
}

function withoutNul(bytes: Uint8Array): Uint8Array {
  return bytes.at(-1) === 0 ? bytes.subarray(0, -1) : bytes;
}
