import type { SpecBuild } from "./spec-modules.ts";

/** A watching build sees one version of a spec after the other; few of the old ones come back. */
const MAX_BUILDS = 32;

/** Builds by what they were made from. */
export class ModuleCache {
  readonly #builds = new Map<string, Promise<SpecBuild>>();

  /** The build of a key; made once, however many modules of a spec ask for it at the same time. */
  get(key: string, make: () => Promise<SpecBuild>): Promise<SpecBuild> {
    const known = this.#builds.get(key);
    if (known !== undefined) return known;
    const made = make();
    this.#builds.set(key, made);
    // What failed is made again; whoever asked for it learns why.
    made.catch(() => this.#builds.delete(key));
    const [oldest] = this.#builds.keys();
    if (this.#builds.size > MAX_BUILDS && oldest !== undefined) this.#builds.delete(oldest);
    return made;
  }
}
