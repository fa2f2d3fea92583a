import { statSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { cacheFolder } from "../../runtime/contract/cache-folder.ts";
import { DiskCache } from "../../runtime/contract/disk-cache.ts";
import type { SpecBuild } from "./spec-modules.ts";

/** A watching build sees one version of a spec after the other; few of the old ones come back. */
const MAX_BUILDS = 32;

/** Changes when entries of older versions must not be used any more. */
const FORMAT = "mtac-modules-1";

/** Entries of the cache folder; one takes some hundred KB. */
const MAX_ENTRIES = 64;

/** Where builds are kept between processes: null for mtac run from its sources, whose next change would not be seen. */
export function buildCacheFolder(): string | null {
  return import.meta.url.endsWith(".ts") ? null : path.join(cacheFolder(), "modules");
}

/** Tells this build of mtac from one before it with the same version. */
export function compilerStamp(): number {
  return statSync(fileURLToPath(import.meta.url)).mtimeMs;
}

/** Builds by what they were made from: in memory, and on disk for the next process. */
export class ModuleCache {
  readonly #builds = new Map<string, Promise<SpecBuild>>();
  readonly #disk: DiskCache;

  /** @param folder null: in memory only. */
  constructor(folder: string | null) {
    this.#disk = new DiskCache(folder, { format: FORMAT, most: MAX_ENTRIES });
  }

  /**
   * The build of a key; made once, however many modules of a spec ask for it at the same time.
   *
   * @param key A name for a file.
   */
  get(key: string, make: () => Promise<SpecBuild>): Promise<SpecBuild> {
    const known = this.#builds.get(key);
    if (known !== undefined) return known;
    const made = this.#readOrMake(key, make);
    this.#builds.set(key, made);
    // What failed is made again; whoever asked for it learns why.
    made.catch(() => this.#builds.delete(key));
    const [oldest] = this.#builds.keys();
    if (this.#builds.size > MAX_BUILDS && oldest !== undefined) this.#builds.delete(oldest);
    return made;
  }

  async #readOrMake(key: string, make: () => Promise<SpecBuild>): Promise<SpecBuild> {
    const stored = await this.#disk.read(key);
    // The checksum says that it is what was written.
    if (stored !== null) return JSON.parse(Buffer.from(stored).toString("utf8"));
    const build = await make();
    await this.#disk.write(key, Buffer.from(JSON.stringify(build)));
    return build;
  }
}
