import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { unreadableFile } from "../files/errors.ts";
import { type BuiltSpec, buildSpec } from "./build-spec.ts";
import { buildCacheFolder, ModuleCache } from "./cache.ts";
import { declarationsFile, writeDeclarations } from "./declarations-file.ts";
import { unknownModule } from "./errors.ts";
import { facadeModule, hotFacadeModule } from "./facade.ts";
import type { SpecModuleId } from "./module-id.ts";
import type { PluginSettings } from "./options.ts";
import type { SpecModule } from "./spec-modules.ts";

/** A spec's text and what it was built to. */
export interface LoadedSpec extends BuiltSpec {
  readonly file: string;
  readonly text: string;
}

/** Reads and builds specs for one bundler. */
export class SpecLoader {
  readonly settings: PluginSettings;
  readonly #cache: ModuleCache;
  /** What Vite's server tells specs apart by; null elsewhere. */
  hotKey: ((file: string) => string) | null = null;

  constructor(settings: PluginSettings) {
    this.settings = settings;
    this.#cache = new ModuleCache(settings.cache ? buildCacheFolder() : null);
  }

  /** What else than the spec a build depends on, for watchers. */
  get watchedFiles(): readonly string[] {
    const { tuning, store } = this.settings;
    return [tuning, store].filter((file) => file !== null);
  }

  /** @throws MtacError MTA905 */
  async read(file: string): Promise<string> {
    try {
      return await readFile(file, "utf8");
    } catch (cause) {
      throw unreadableFile(file, cause);
    }
  }

  /** @throws As `buildSpec`. */
  async build(text: string, file: string): Promise<LoadedSpec> {
    const flavour = { hot: this.hotKey !== null };
    return { ...(await buildSpec(text, file, this.settings, flavour, this.#cache)), file, text };
  }

  /** One module of a built spec. @throws MtacError MTA961: the spec has no such part (any more). */
  moduleOf({ build, file }: LoadedSpec, { part }: SpecModuleId): SpecModule {
    if (part === null) {
      const code =
        this.hotKey === null
          ? facadeModule(build.contents)
          : hotFacadeModule(build.contents, this.hotKey(file));
      return { code, map: null };
    }
    const module = Object.hasOwn(build.modules, part) ? build.modules[part] : undefined;
    if (module === undefined) throw unknownModule(basename(file), part);
    return module;
  }

  /**
   * Writes the spec's types beside it, if that is wanted. Not for specs of packages, which bring their own.
   *
   * @throws MtacError MTA906
   */
  writeTypes({ build, file }: LoadedSpec): void {
    const { types } = this.settings;
    if (types === null || /[\\/]node_modules[\\/]/.test(file)) return;
    writeDeclarations(declarationsFile(file, types), build.declarations);
  }
}
