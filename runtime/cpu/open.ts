import { CpuDevice, type CpuOptions, checkThreads } from "./device.ts";
import { CpuError } from "./errors.ts";
import type { CpuLibrary } from "./library.ts";
import { openNative } from "./native/library.ts";
import { processorModel } from "./processor.ts";
import { openNodeWasm } from "./wasm/node.ts";

/** How the processor is opened in Node. */
export interface NodeCpuOptions extends CpuOptions {
  /** `native` and `wasm` ask for one; `auto` takes native where there is a compiler or a library from before, else WebAssembly. */
  readonly library?: CpuLibrary["kind"] | "auto";
}

/**
 * Opens the processor as a device.
 *
 * @throws CpuError MTA880 … MTA884 (no native library, and none but it is wanted), MTA885 (no WebAssembly SIMD), MTA886 (threads).
 */
export async function openCpu(options: NodeCpuOptions = {}): Promise<CpuDevice> {
  const threads = checkThreads(options);
  const { library = "auto" } = options;
  if (library === "wasm") return new CpuDevice(await openNodeWasm(threads), processorModel());
  try {
    return new CpuDevice(await openNative(threads), processorModel());
  } catch (error) {
    if (library === "native" || !(error instanceof CpuError)) throw error;
    return new CpuDevice(await openNodeWasm(threads), processorModel());
  }
}
