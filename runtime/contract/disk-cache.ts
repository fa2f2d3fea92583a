import { createHash, randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import path from "node:path";

export interface DiskCacheOptions {
  /** Stands in each entry: entries of other formats count as absent. */
  readonly format: string;
  /** Entries to keep; the ones that were read or written longest ago go first. All, if not given. */
  readonly most?: number;
}

/**
 * A folder of entries. An entry is one file: a line with the format and the checksum of what follows. Entries appear by renaming, so
 * that processes which make the same one at once never see half of it; a damaged one counts as absent. A folder that cannot be
 * read or written is no error: then there is no cache.
 */
export class DiskCache {
  readonly #folder: string | null;
  readonly #options: DiskCacheOptions;

  /** @param folder null: no cache. */
  constructor(folder: string | null, options: DiskCacheOptions) {
    this.#folder = folder;
    this.#options = options;
  }

  async read(name: string): Promise<Uint8Array | null> {
    if (this.#folder === null) return null;
    const file = path.join(this.#folder, name);
    let entry: Buffer;
    try {
      entry = await readFile(file);
    } catch {
      return null;
    }
    const newline = entry.indexOf(0x0a);
    if (newline < 0) return null;
    const bytes = entry.subarray(newline + 1);
    if (entry.toString("latin1", 0, newline) !== this.#header(bytes)) return null;
    if (this.#options.most !== undefined) await touch(file);
    return bytes;
  }

  async write(name: string, bytes: Uint8Array): Promise<void> {
    if (this.#folder === null) return;
    const target = path.join(this.#folder, name);
    const beside = `${target}.${randomUUID()}`;
    try {
      await makeFolder(this.#folder);
      await writeFile(beside, Buffer.concat([Buffer.from(`${this.#header(bytes)}\n`, "latin1"), bytes]));
      await rename(beside, target);
      if (this.#options.most !== undefined) await prune(this.#folder, this.#options.most);
    } catch {
      // Full, read-only or not a folder: the next process makes the entry again.
      await rm(beside, { force: true }).catch(() => undefined);
    }
  }

  #header(bytes: Uint8Array): string {
    return `${this.#options.format} ${createHash("sha256").update(bytes).digest("hex")}`;
  }
}

/** Says that an entry is in use. */
async function touch(file: string): Promise<void> {
  const now = new Date();
  // Another process may have pruned it.
  await utimes(file, now, now).catch(() => undefined);
}

async function prune(folder: string, most: number): Promise<void> {
  const names = await readdir(folder);
  if (names.length <= most) return;
  const ages = await Promise.all(
    names.map(async (name) => {
      const file = path.join(folder, name);
      const found = await stat(file).catch(() => null);
      return { file, time: found?.mtimeMs ?? 0 };
    }),
  );
  const oldest = ages.toSorted((a, b) => a.time - b.time).slice(0, names.length - most);
  await Promise.all(oldest.map(({ file }) => rm(file, { force: true })));
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
