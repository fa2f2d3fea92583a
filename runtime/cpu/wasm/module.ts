import { CpuError, noMemory } from "../errors.ts";

/** The prebuilt modules, the faster first: relaxed SIMD multiplies and adds in one instruction. */
const MODULES = ["relaxed", "plain"] as const;
export type ModuleName = (typeof MODULES)[number];
/** The files of both: those that compute gradients are loaded when the first of them is asked for. */
export type ModuleFile = ModuleName | `${ModuleName}-backward`;

/** As the linker was told, and what 32-bit addresses reach. Engines that keep addresses free for all of a memory may refuse so many. */
const MOST_PAGES = [2 ** 16, 2 ** 15, 2 ** 14, 2 ** 13];

/** A function of vectors, up to its instruction. */
const HEAD = [
  [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
  // The type (v128, v128, v128) → v128; one function of it.
  [0x01, 0x08, 0x01, 0x60, 0x03, 0x7b, 0x7b, 0x7b, 0x01, 0x7b, 0x03, 0x02, 0x01, 0x00],
].flat();

/** The smallest modules that engines take or refuse as they do the prebuilt ones, so that only one of those is fetched. */
const PROBES: Readonly<Record<ModuleName, readonly number[]>> = {
  // local.get 0, local.get 1, local.get 2, f32x4.relaxed_madd
  relaxed: [0x0a, 0x0d, 0x01, 0x0b, 0x00, 0x20, 0x00, 0x20, 0x01, 0x20, 0x02, 0xfd, 0x85, 0x02, 0x0b],
  // local.get 0, local.get 1, f32x4.add
  plain: [0x0a, 0x0b, 0x01, 0x09, 0x00, 0x20, 0x00, 0x20, 0x01, 0xfd, 0xe4, 0x01, 0x0b],
};

/** The end of the import "memory", up to its limits: a memory that is shared and has a maximum. */
const SHARED_IMPORT = [...new TextEncoder().encode("memory"), 0x02, 0x03];
const UNSHARED = 0x01;

/** The first of some modules, the best first, that this engine takes. @throws CpuError MTA885 */
export function chooseModule(names: readonly ModuleName[] = MODULES): ModuleName {
  const remedy = "update the engine, or use another target";
  if (typeof WebAssembly !== "object")
    throw new CpuError("MTA885", "there is no WebAssembly here", { remedy });
  const fit = names.find((name) => WebAssembly.validate(Uint8Array.from([...HEAD, ...PROBES[name]])));
  if (fit !== undefined) return fit;
  throw new CpuError("MTA885", "this WebAssembly engine has no SIMD instructions", { remedy });
}

/** Shared memory, which pages get also where they are not isolated; memory of one thread where an engine refuses that. */
export function newMemory(): WebAssembly.Memory {
  for (const shared of [true, false])
    for (const maximum of MOST_PAGES)
      try {
        return new WebAssembly.Memory({ initial: 4, maximum, shared });
      } catch {
        // The next one is less to ask for.
      }
  throw noMemory("a WebAssembly module");
}

/**
 * Compiles a prebuilt module for a memory.
 *
 * @throws CpuError MTA884: the bytes are no module, or the page's Content-Security-Policy forbids WebAssembly.
 */
export async function compileModule(
  name: ModuleFile,
  bytes: Uint8Array<ArrayBuffer>,
  { buffer }: WebAssembly.Memory,
): Promise<WebAssembly.Module> {
  try {
    return await WebAssembly.compile(buffer instanceof ArrayBuffer ? unshared(bytes) : bytes);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CpuError("MTA884", `the module ${name}.wasm cannot be compiled: ${reason}`, {
      cause,
      remedy: /security|policy|CSP/i.test(reason)
        ? "the page's Content-Security-Policy needs `script-src 'wasm-unsafe-eval'`"
        : "install mtac again, or serve its own files",
    });
  }
}

/** The same module, with a memory that is not shared. */
function unshared(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const copy = bytes.slice();
  const at = copy.findIndex((_, start) => SHARED_IMPORT.every((byte, index) => copy[start + index] === byte));
  if (at >= 0) copy[at + SHARED_IMPORT.length - 1] = UNSHARED;
  return copy;
}
