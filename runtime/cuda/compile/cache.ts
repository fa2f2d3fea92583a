import { createHash, randomUUID } from "node:crypto";
import { mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { cacheFolder } from "../../contract/cache-folder.ts";
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

/**
 * Compiled kernels on disk. An entry is one file: a line with the format and the checksum of what follows. Entries appear by
 * renaming, so that processes which compile the same source at once never see half of one; a damaged one counts as absent.
 * A folder that cannot be read or written is no error: then there is no cache.
 */
export class KernelCache {
  readonly #folder: string | null;

  /** @param folder null: no cache. */
  constructor(folder: string | null) {
    this.#folder = folder;
  }

  async read(key: CacheKey): Promise<Uint8Array | null> {
    if (this.#folder === null) return null;
    let entry: Buffer;
    try {
      entry = await readFile(path.join(this.#folder, entryName(key)));
    } catch {
      return null;
    }
    const newline = entry.indexOf(0x0a);
    if (newline < 0) return null;
    const bytes = entry.subarray(newline + 1);
    return entry.toString("latin1", 0, newline) === headerOf(bytes) ? bytes : null;
  }

  async write(key: CacheKey, bytes: Uint8Array): Promise<void> {
    if (this.#folder === null) return;
    const target = path.join(this.#folder, entryName(key));
    const beside = `${target}.${randomUUID()}`;
    try {
      await makeFolder(this.#folder);
      await writeFile(beside, Buffer.concat([Buffer.from(`${headerOf(bytes)}\n`, "latin1"), bytes]));
      await rename(beside, target);
    } catch {
      // Full, read-only or not a folder: the next process compiles again.
      await rm(beside, { force: true }).catch(() => undefined);
    }
  }
}

/**
 * Makes a folder and those above it. Not `mkdir` with `recursive`, which never returns where a parent exists and yet refuses
 * with ENOENT, as /proc does.
 */
async function makeFolder(folder: string): Promise<void> {
  if (await isFolder(folder)) return;
  const parent = path.dirname(folder);
  if (parent !== folder) await makeFolder(parent);
  try {
    await mkdir(folder);
  } catch (error) {
    // Another process may have been faster.
    if (!(await isFolder(folder))) throw error;
  }
}

async function isFolder(name: string): Promise<boolean> {
  try {
    return (await stat(name)).isDirectory();
  } catch {
    return false;
  }
}

function headerOf(bytes: Uint8Array): string {
  return `${FORMAT} ${createHash("sha256").update(bytes).digest("hex")}`;
}
