import { existsSync, readFileSync } from "node:fs";
import { relative } from "node:path";
import { fileURLToPath } from "node:url";

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

/** A page of the documentation that the package carries, as a path from the current folder; null where it is not there. */
export function docsPage(name: string): string | null {
  const file = new URL(`docs/${name}.md`, packageRoot());
  return existsSync(file) ? relative(process.cwd(), fileURLToPath(file)) : null;
}

/** The package's modules: where each lies in the sources and in what is built. */
const ENTRY_POINTS = {
  mtac: ["compiler/index.ts", "dist/compiler/index.js"],
  "mtac/compiler": ["compiler/browser.ts", "dist/compiler/browser.js"],
  "mtac/runtime": ["runtime/index.ts", "dist/runtime/index.js"],
  "mtac/runtime/node": ["runtime/node.ts", "dist/runtime/node.js"],
  "mtac/reference": ["runtime/reference/index.ts", "dist/runtime/reference.js"],
} as const satisfies Record<string, readonly [source: string, built: string]>;

/** The address of one of the package's own modules, for code that cannot resolve its name; null for other names. */
export function entryPoint(specifier: string): string | null {
  if (!isEntryPoint(specifier)) return null;
  const [source, built] = ENTRY_POINTS[specifier];
  return new URL(import.meta.url.endsWith(".ts") ? source : built, packageRoot()).href;
}

function isEntryPoint(specifier: string): specifier is keyof typeof ENTRY_POINTS {
  return Object.hasOwn(ENTRY_POINTS, specifier);
}
