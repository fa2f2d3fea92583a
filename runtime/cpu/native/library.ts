import { availableParallelism } from "node:os";
import { type ForeignLibrary, type Koffi, loadKoffi, openLibrary } from "../../foreign/library.ts";
import { CpuError, noMemory } from "../errors.ts";
import type { CpuLibrary, CpuMemory, CpuPass } from "../library.ts";
import {
  type CCompiler,
  type CompileOptions,
  compileLibrary,
  findCompiler,
  type LibrarySource,
} from "./compiler.ts";

/** Of a line of cache, and of the widest vector. */
const ALIGNMENT = 64;

/**
 * The C library, compiled for this processor or found in the cache.
 *
 * @param threads As many as the processor runs at once, if null.
 * @param options What is compiled for: this processor, if not given.
 * @throws CpuError MTA880 (no C compiler), MTA881 (no koffi), MTA882 (the cache cannot be written), MTA883 (the compiler fails), MTA884 (the
 *   library cannot be loaded).
 */
export async function openNative(threads: number | null, options: CompileOptions = {}): Promise<CpuLibrary> {
  const koffi = await loadKoffi(
    (message, cause) =>
      new CpuError("MTA881", message, {
        cause,
        remedy: "run npm install koffi@3, or leave out `library`: WebAssembly is taken then",
      }),
  );
  const compiler = await findCompiler();
  if (compiler === null)
    throw new CpuError("MTA880", "there is no C compiler: neither $CC nor cc, gcc or clang runs", {
      remedy: "install gcc or clang, or leave out `library`: WebAssembly is taken then",
    });
  const open = (source: LibrarySource): Promise<ForeignLibrary> => load(koffi, compiler, source, options);
  return new NativeLibrary(await open("native.c"), compiler.version, threads ?? availableParallelism(), () =>
    open("backward.c"),
  );
}

/** @throws CpuError MTA882 … MTA884 */
async function load(
  koffi: Koffi,
  compiler: CCompiler,
  source: LibrarySource,
  options: CompileOptions,
): Promise<ForeignLibrary> {
  const { library, reasons } = openLibrary(koffi, [await compileLibrary(compiler, source, options)]);
  if (library === null)
    throw new CpuError("MTA884", `the compiled library cannot be loaded: ${reasons.join()}`, {
      remedy: "delete that file, or point XDG_CACHE_HOME to another folder",
    });
  return library;
}

class NativeLibrary implements CpuLibrary {
  readonly kind = "native";
  readonly description: string;
  readonly lanes: number;
  readonly threads: number;
  readonly #library: ForeignLibrary;
  readonly forward: CpuPass;
  readonly #openBackward: () => Promise<ForeignLibrary>;
  #backward: Promise<CpuPass> | null = null;
  /** By address; what is in here is not collected. */
  readonly #live = new Map<number | bigint, Uint8Array>();

  constructor(
    library: ForeignLibrary,
    compiler: string,
    threads: number,
    openBackward: () => Promise<ForeignLibrary>,
  ) {
    this.#openBackward = openBackward;
    this.#library = library;
    this.lanes = library.bind("mtac_lanes", [])();
    this.forward = this.#bind(library, "mtac_workspace_bytes", "mtac_forward");
    this.threads = threads;
    this.description = `C by ${compiler}, ${this.lanes} floats a vector`;
  }

  allocate(bytes: number, label: string): CpuMemory {
    let buffer: Uint8Array;
    try {
      // Not a new array, which would be filled with zeros.
      buffer = Buffer.allocUnsafeSlow(bytes + ALIGNMENT);
    } catch (cause) {
      throw noMemory(`${label} (${bytes} bytes)`, cause);
    }
    const start = this.#library.addressOf(buffer);
    const skipped = Number(-start & BigInt(ALIGNMENT - 1));
    const address = start + BigInt(skipped);
    this.#live.set(address, buffer.subarray(skipped, skipped + bytes));
    return { address, size: bytes };
  }

  free({ address }: CpuMemory): void {
    this.#live.delete(address);
  }

  bytesOf({ address }: CpuMemory): Uint8Array {
    const bytes = this.#live.get(address);
    if (bytes === undefined) throw new RangeError(`there is no memory at ${address}`);
    return bytes;
  }

  backward(): Promise<CpuPass> {
    this.#backward ??= this.#openBackward().then(
      (library) => this.#bind(library, "mtac_backward_workspace_bytes", "mtac_backward"),
      (error: unknown) => {
        // A failure is not kept: the compiler may be there the next time.
        this.#backward = null;
        throw error;
      },
    );
    return this.#backward;
  }

  #bind(library: ForeignLibrary, sizeName: string, computeName: string): CpuPass {
    const size = library.bind(sizeName, ["void *", "int", "void *"]);
    const compute = library.bind(computeName, ["void *", "uint64", "int"]);
    return {
      workspaceBytes: (words, parts) => {
        const bytes = new BigInt64Array(1);
        size(this.bytesOf(words), parts, bytes);
        return Number(bytes[0]);
      },
      compute: async (words, workspace, parts, brief) => {
        await (brief ? compute : compute.later)(this.bytesOf(words), BigInt(workspace.address), parts);
      },
    };
  }

  async close(): Promise<void> {
    this.#live.clear();
  }
}
