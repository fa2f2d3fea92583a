import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import type { PluginBuild } from "esbuild";
import { unsupportedName } from "./errors.ts";
import { looksLikeQuery, parseId, realId, servedId, VIRTUAL_SCHEME } from "./module-id.ts";

// How bundlers find what specs are made of: parts, which are no files, and files whose names hold `?` or `#`, of which bundlers would
// take a part for a query or a fragment. All else they find themselves.

/**
 * `./spec.mta?mtac=mta_830m`, as the modules of a spec name each other, and `./a#b.mta`, as its importers do.
 *
 * @returns Null for what is none of these.
 */
export function resolveSpec(source: string, importer: string | undefined): string | null {
  if (importer === undefined) return null;
  const file = parseId(importer)?.file ?? importer.split("?")[0] ?? importer;
  return resolveIn(path.dirname(file), source);
}

function resolveIn(folder: string, source: string): string | null {
  const module = parseId(source);
  if (module === null) return null;
  // Vite asks for the files that are watched by their whole paths.
  if (path.isAbsolute(source)) return looksLikeQuery(module.file) && existsSync(module.file) ? source : null;
  if (!/^\.{1,2}\//.test(source)) return null;
  const found = path.posix.join(folder.replaceAll("\\", "/"), source);
  if (module.part !== null) return found;
  return looksLikeQuery(module.file) && existsSync(found) ? found : null;
}

/** The same in Vite's server, where modules are fetched by their addresses: what those cannot hold is served under another name. */
export function resolveForServer(source: string, importer: string | undefined): string | null {
  if (source.startsWith(`\0${VIRTUAL_SCHEME}`)) return source;
  const found = resolveSpec(source, importer === undefined ? undefined : realId(importer));
  const file = found === null ? null : parseId(found)?.file;
  return found !== null && file != null && looksLikeQuery(file) ? servedId(found) : found;
}

/** esbuild finds parts itself, but for those of files with such names: it takes what follows the first `?` or `#` for a suffix. */
export function resolveForEsbuild({ onResolve }: Pick<PluginBuild, "onResolve">): void {
  onResolve({ filter: /\.mta/ }, ({ path: source, resolveDir }) => {
    const module = parseId(source);
    if (module === null || !looksLikeQuery(module.file)) return undefined;
    const found = resolveIn(resolveDir, source);
    if (found === null) return undefined;
    const file = parseId(found)?.file ?? found;
    return { path: file, suffix: found.slice(file.length) };
  });
}

/**
 * webpack takes a `#` for a part of the name if a zero byte precedes it.
 *
 * @throws MtacError MTA962: there is no way to tell it so of a `?`.
 */
export function escapeForWebpack(source: string, folder: string): string {
  const module = parseId(source);
  if (module === null || !looksLikeQuery(module.file) || resolveIn(folder, source) === null) return source;
  if (module.file.includes("?")) throw unsupportedName(module.file);
  return module.file.replaceAll("#", "\0#") + source.slice(module.file.length);
}

/** Bun drops queries from files, so that parts get ids that are no files. */
export function resolveForBun(source: string, importer: string | undefined): string | null {
  if (importer === undefined) return null;
  const isPart = importer.includes(VIRTUAL_SCHEME);
  const file = realId(importer);
  const found = resolveSpec(source, file);
  if (found !== null) return VIRTUAL_SCHEME + found;
  // Such an id has no folder from which Bun could resolve packages.
  return isPart && source.startsWith("mtac/") ? createRequire(path.resolve(file)).resolve(source) : null;
}
