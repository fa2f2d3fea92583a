import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { PluginBuild } from "esbuild";

// The WebAssembly modules that `mtac/runtime/wasm` names by `new URL("….wasm", import.meta.url)`. Vite and webpack take such files along by
// themselves; for the others the plugin does.

/** As the runtime has it, whoever has minified it. */
const NAMED = /new URL\(\s*["'`]((?:\.\.\/)+templates\/c\/[\w-]+\.wasm)["'`]\s*,\s*import\.meta\.url\s*\)/g;

/** Files of mtac's runtime, in the package that this plugin is of. */
const RUNTIME = fileURLToPath(new URL("../../dist/", import.meta.url));

/** What Rollup and Rolldown let a plugin do. */
interface FileEmitter {
  emitFile(file: { readonly type: "asset"; readonly name: string; readonly source: Uint8Array }): string;
}

/** The code of a module with the files that it names among a bundle's own; null where it names none. For Rollup and Rolldown. */
export function emitNamedFiles(
  this: FileEmitter,
  code: string,
  id: string,
): { code: string; map: null } | null {
  const named = withFiles(code, id, (file) => {
    const reference = this.emitFile({ type: "asset", name: path.basename(file), source: readFileSync(file) });
    return `new URL(import.meta.ROLLUP_FILE_URL_${reference})`;
  });
  // No line moves: the map that there is stays right.
  return named === null ? null : { code: named, map: null };
}

/** The same for esbuild, whose loader "file" copies what is imported, and gives its address. */
export function loadNamedFiles({ onLoad, onResolve }: Pick<PluginBuild, "onLoad" | "onResolve">): void {
  const folder = RUNTIME.replace(/[^\w/-]/g, "\\$&");
  onLoad({ filter: new RegExp(`^${folder}.*\\.js$`) }, async ({ path: id }) => {
    const imports: string[] = [];
    const code = withFiles(await readFile(id, "utf8"), id, (file) => {
      imports.push(`import file${imports.length} from ${JSON.stringify(SCHEME + file)};`);
      return `new URL(file${imports.length - 1}, import.meta.url)`;
    });
    return code === null
      ? undefined
      : { contents: `${imports.join("")}${code}`, loader: "js", resolveDir: path.dirname(id) };
  });
  onResolve({ filter: new RegExp(`^${SCHEME}`) }, ({ path: source }) => ({
    path: source.slice(SCHEME.length),
    namespace: NAMESPACE,
  }));
  onLoad({ filter: /.*/, namespace: NAMESPACE }, async ({ path: file }) => ({
    contents: await readFile(file),
    loader: "file",
  }));
}

const NAMESPACE = "mtac-file";
const SCHEME = `${NAMESPACE}:`;

/** Null where the code names no file of mtac's. */
function withFiles(code: string, id: string, replace: (file: string) => string): string | null {
  if (!code.includes("templates/c/") || !id.startsWith(RUNTIME)) return null;
  return code.replace(NAMED, (_, name: string) => replace(path.resolve(path.dirname(id), name)));
}
