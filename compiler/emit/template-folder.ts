import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** A folder inside the package's `templates`. */
export function templateFolder(name: string): string {
  return packageFolder(join("templates", name));
}

/** A folder of the package: beside `compiler` in the sources, above `dist` in the built package. */
export function packageFolder(path: string): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (;;) {
    const candidate = join(folder, path);
    try {
      readdirSync(candidate);
      return candidate;
    } catch {
      const parent = dirname(folder);
      if (parent === folder) throw new Error(`mtac is not installed whole: its folder ${path} is missing`);
      folder = parent;
    }
  }
}
