export type Koffi = typeof import("koffi");

/** Parameter types of the C functions that are called; every one of them returns an int. */
export type ForeignType = "int" | "uint" | "uint64" | "void *" | "str";
export type ForeignValue = number | bigint | string | ArrayBufferView | null;
export type ForeignFunction = {
  (...values: ForeignValue[]): number;
  /** On a thread of its own, so that the event loop stays free. */
  later(...values: ForeignValue[]): Promise<number>;
};

/** A shared library; its functions are bound when they are first used, for old versions lack some. */
export class ForeignLibrary {
  readonly path: string;
  readonly #koffi: Koffi;
  readonly #handle: ReturnType<Koffi["load"]>;

  constructor(koffi: Koffi, path: string) {
    this.path = path;
    this.#koffi = koffi;
    this.#handle = koffi.load(path);
  }

  /** @throws Error when the library has no such function. */
  bind(name: string, parameters: readonly ForeignType[]): ForeignFunction {
    const bound = this.#handle.func(name, "int", [...parameters]);
    const call = (...values: ForeignValue[]): number => Number(bound(...values));
    const later = (...values: ForeignValue[]): Promise<number> =>
      new Promise((resolve, reject) => {
        bound.async(...values, (error: unknown, result: unknown) => {
          if (error === null || error === undefined) resolve(Number(result));
          else reject(error);
        });
      });
    return Object.assign(call, { later });
  }

  /** Where the bytes of a view lie; the view must outlive the use of the address. */
  addressOf(view: ArrayBufferView): bigint {
    return BigInt(this.#koffi.address(view));
  }

  /** The text at an address, up to its NUL. */
  textAt(address: bigint): string {
    return address === 0n ? "" : this.#koffi.decode.string(address);
  }
}

/** @param failure The caller's error: koffi is not installed, or does not work on this platform. */
export async function loadKoffi(failure: (message: string, cause: unknown) => Error): Promise<Koffi> {
  try {
    return await import("koffi");
  } catch (cause) {
    const missing = cause instanceof Error && "code" in cause && cause.code === "ERR_MODULE_NOT_FOUND";
    const reason = cause instanceof Error ? cause.message : String(cause);
    const message = missing
      ? "the package koffi, which calls C libraries, is not installed"
      : `the package koffi cannot be loaded: ${reason}`;
    throw failure(message, cause);
  }
}

export interface OpenedLibrary {
  readonly library: ForeignLibrary | null;
  /** Why there is none: what the loader said of each name. */
  readonly reasons: readonly string[];
}

/** The first of the libraries that can be loaded. */
export function openLibrary(koffi: Koffi, paths: readonly string[]): OpenedLibrary {
  const reasons: string[] = [];
  for (const path of paths) {
    try {
      return { library: new ForeignLibrary(koffi, path), reasons };
    } catch (error) {
      reasons.push(`${path}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return { library: null, reasons };
}
