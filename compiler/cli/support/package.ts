import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";

/** The installed package's folder, as a URL that ends with a slash; the same for the sources and for what is built. */
export function packageRoot(): URL {
  for (let folder = new URL("./", import.meta.url); ; folder = new URL("../", folder)) {
    if (existsSync(new URL("package.json", folder))) return folder;
    if (folder.pathname === "/") throw new Error(`no package.json above ${fileURLToPath(import.meta.url)}`);
  }
}

export function packageVersion(): string {
  const text = readFileSync(new URL("package.json", packageRoot()), "utf8");
  const parsed: unknown = JSON.parse(text);
  if (
    typeof parsed === "object" &&
    parsed !== null &&
    "version" in parsed &&
    typeof parsed.version === "string"
  )
    return parsed.version;
  throw new Error(`${packageRoot().pathname}package.json has no version`);
}

/** The address of one of the package's own entry points, for modules that cannot resolve its name. */
export function entryPoint(name: "mtac" | "mtac/runtime" | "mtac/runtime/node"): string {
  const file = {
    mtac: "compiler/index",
    "mtac/runtime": "runtime/index",
    "mtac/runtime/node": "runtime/node",
  }[name];
  const fromSources = import.meta.url.endsWith(".ts");
  return pathToFileURL(fileURLToPath(new URL(fromSources ? `${file}.ts` : `dist/${file}.js`, packageRoot())))
    .href;
}
