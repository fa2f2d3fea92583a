import { existsSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { MtacError } from "../../runtime/contract/index.ts";
import { configFault, isConfig, type MtacConfig } from "./index.ts";

const NAMES = ["mtac.config.ts", "mtac.config.mts", "mtac.config.js", "mtac.config.mjs"];

/** A project's settings, with absolute paths. */
export interface LoadedConfig {
  /** null where there is no config file. */
  readonly file: string | null;
  readonly config: MtacConfig;
}

/**
 * The config file of a folder: its own, or that of the nearest folder above it, but not beyond the one with the project's
 * package.json; null if there is none.
 */
export function findConfig(folder: string): string | null {
  return configPlaces(folder).find((file) => existsSync(file)) ?? null;
}

/** Where the config of a folder could be; the first that is there is the one. */
export function configPlaces(folder: string): readonly string[] {
  const places: string[] = [];
  for (let current = resolve(folder); ; current = dirname(current)) {
    places.push(...NAMES.map((name) => join(current, name)));
    if (existsSync(join(current, "package.json")) || dirname(current) === current) return places;
  }
}

/**
 * Reads and checks the settings of a folder's project; none where there is no config file.
 *
 * @param file The config file, where it is not to be searched for.
 * @throws MtacError MTA905 and MTA926 for a file that cannot be read or used; MTA907 without ts-morph, if it is TypeScript.
 */
export async function loadConfig(
  folder: string,
  file: string | null = findConfig(folder),
): Promise<LoadedConfig> {
  if (file === null) return { file, config: {} };
  const name = relative(process.cwd(), file);
  const exported = ownSettings(await defaultExport(file));
  if (isConfig(exported)) return { file, config: withAbsolutePaths(exported, dirname(resolve(file))) };
  const fault = configFault(exported) ?? { message: "it is no config", remedy: "see `defineConfig`" };
  throw badConfig(name, fault.message, undefined, fault.remedy);
}

/** The settings that are the object's own: those are what is checked. */
function ownSettings(exported: unknown): unknown {
  return typeof exported === "object" && exported !== null && !Array.isArray(exported)
    ? { ...exported }
    : exported;
}

async function defaultExport(file: string): Promise<unknown> {
  const { loadTypeScriptModule } = await import("../files/typescript-module.ts");
  if (/\.m?ts$/.test(file)) return loadTypeScriptModule(file, badConfig);
  try {
    if (statSync(file).isDirectory())
      throw badConfig(file, "it is a folder", undefined, "name the config file in it");
    // Node keeps a module by its address: one that was changed needs another.
    const version = statSync(file).mtimeMs;
    const module: object = await import(`${pathToFileURL(resolve(file)).href}?${version}`);
    return "default" in module ? module.default : undefined;
  } catch (cause) {
    if (cause instanceof MtacError) throw cause;
    throw badConfig(file, cause instanceof Error ? cause.message : String(cause), cause);
  }
}

function badConfig(place: string, message: string, cause?: unknown, remedy?: string): MtacError {
  return new MtacError("MTA926", "usage", `${place}: ${message}`, {
    cause,
    remedy: remedy ?? "export settings as default: `export default defineConfig({ … })`",
  });
}

function withAbsolutePaths(config: MtacConfig, folder: string): MtacConfig {
  const { specs, out, tuning, store } = config;
  return {
    ...config,
    ...(specs === undefined ? {} : { specs: specs.map((spec) => resolve(folder, spec)) }),
    ...(out === undefined ? {} : { out: resolve(folder, out) }),
    ...(tuning === undefined ? {} : { tuning: resolve(folder, tuning) }),
    ...(store === undefined ? {} : { store: resolve(folder, store) }),
  };
}
