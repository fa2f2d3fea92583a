import { createHash } from "node:crypto";
import path from "node:path";
import { cacheFolder } from "../../contract/cache-folder.ts";
import { DiskCache } from "../../contract/disk-cache.ts";
import type { CudaImage } from "../backend.ts";

/** Changes when entries of older versions must not be used any more. */
const FORMAT = "mtac-kernels-1";

/** Everything that the compiled bytes depend on. */
export interface CacheKey {
  readonly text: string;
  readonly options: readonly string[];
  readonly compiler: string;
  readonly version: string;
  readonly architecture: string;
  readonly output: CudaImage["kind"];
}

export function defaultCacheFolder(): string {
  return path.join(cacheFolder(), "cuda");
}

/** The name of a key's entry. */
export function entryName(key: CacheKey): string {
  const { text, options, compiler, version, architecture, output } = key;
  const hash = createHash("sha256");
  hash.update(JSON.stringify([FORMAT, text, options, compiler, version, architecture, output]));
  return `${hash.digest("hex")}.${output}`;
}

/** Compiled kernels on disk. */
export class KernelCache {
  readonly #entries: DiskCache;

  /** @param folder null: no cache. */
  constructor(folder: string | null) {
    this.#entries = new DiskCache(folder, { format: FORMAT });
  }

  read(key: CacheKey): Promise<Uint8Array | null> {
    return this.#entries.read(entryName(key));
  }

  write(key: CacheKey, bytes: Uint8Array): Promise<void> {
    return this.#entries.write(entryName(key), bytes);
  }
}
