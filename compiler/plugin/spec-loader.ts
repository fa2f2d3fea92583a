import { readFile } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { findConfig, loadConfig } from "../config/load.ts";
import { unreadableFile } from "../files/errors.ts";
import { decodeUtf8 } from "../files/text.ts";
import { moduleFacts } from "../targets.ts";
import { type BuiltSpec, buildSpec } from "./build-spec.ts";
import { buildCacheFolder, ModuleCache } from "./cache.ts";
import { declarationsFile, writeDeclarations } from "./declarations-file.ts";
import { unknownModule } from "./errors.ts";
import { exportedNames, facadeModule, hotFacadeModule } from "./facade.ts";
import type { SpecModuleId } from "./module-id.ts";
import {
  type DeclarationsForm,
  type PluginOptions,
  type PluginSettings,
  pluginSettings,
  projectSettings,
} from "./options.ts";
import type { SpecModule } from "./spec-modules.ts";

/** A spec's text and what it was built to. */
export interface LoadedSpec extends BuiltSpec {
  readonly file: string;
  readonly text: string;
  /** Which `.d.ts` to write beside it; null: none. */
  readonly types: DeclarationsForm | null;
}

/** Reads and builds specs for one bundler. */
export class SpecLoader {
  /** What holds for every spec: its target, whether to cache. */
  readonly settings: PluginSettings;
  readonly #options: PluginOptions;
  readonly #cache: ModuleCache;
  /** What Vite's server tells specs apart by; null elsewhere. */
  hotKey: ((file: string) => string) | null = null;
  readonly #served = new Map<string, readonly string[]>();

  /** @throws MtacError MTA960 */
  constructor(options: PluginOptions) {
    this.#options = options;
    this.settings = pluginSettings(options);
    this.#cache = new ModuleCache(this.settings.cache ? buildCacheFolder() : null);
  }

  /** @throws MtacError MTA905 */
  async read(file: string): Promise<string> {
    let bytes: Uint8Array;
    try {
      bytes = await readFile(file);
    } catch (cause) {
      throw unreadableFile(file, cause);
    }
    return decodeUtf8(bytes, file);
  }

  /** @throws As `buildSpec`. */
  async build(text: string, file: string): Promise<LoadedSpec> {
    const flavour = { hot: this.hotKey !== null };
    const { settings } = await this.#projectOf(file);
    return {
      ...(await buildSpec(text, file, settings, flavour, this.#cache)),
      file,
      text,
      types: settings.types,
    };
  }

  /** What else than the spec a build depends on, for watchers; also where the build fails. */
  async watchedFiles(file: string): Promise<readonly string[]> {
    try {
      return (await this.#projectOf(file)).watched;
    } catch {
      // The build will say why.
      return [findConfig(dirname(file))].filter((each) => each !== null);
    }
  }

  async #projectOf(file: string): Promise<{ settings: PluginSettings; watched: readonly string[] }> {
    const loaded = await loadConfig(dirname(file));
    const settings = projectSettings(this.#options, loaded.config);
    const watched = [loaded.file, settings.tuning, settings.store].filter((each) => each !== null);
    return { settings, watched };
  }

  /** To be called where a spec could not be loaded: whoever asked for it has nothing of it. */
  loadFailed(file: string): void {
    this.#served.set(file, []);
  }

  /** Names that a newly built spec exports and the module that was last loaded of it does not. */
  newExports({ build, file }: LoadedSpec): readonly string[] {
    const served = this.#served.get(file);
    if (served === undefined) return [];
    return exportedNames(build.contents).filter((name) => !served.includes(name));
  }

  /** One module of a built spec. @throws MtacError MTA961: the spec has no such part (any more). */
  moduleOf({ build, file }: LoadedSpec, { part }: SpecModuleId): SpecModule {
    if (part === null) {
      this.#served.set(file, exportedNames(build.contents));
      const { hotRuntime } = moduleFacts(this.settings.target);
      const code =
        this.hotKey === null || hotRuntime === null
          ? facadeModule(build.contents)
          : hotFacadeModule(build.contents, this.hotKey(file), hotRuntime);
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
  writeTypes({ build, file, types }: LoadedSpec): void {
    if (types === null || /[\\/]node_modules[\\/]/.test(file)) return;
    writeDeclarations(declarationsFile(file, types), file, build.declarations);
  }
}
