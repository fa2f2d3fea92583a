import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** A folder inside the package's `templates`: beside `compiler` in the sources, above `dist` in the built package. */
export function templateFolder(name: string): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (;;) {
    const candidate = join(folder, "templates", name);
    try {
      readdirSync(candidate);
      return candidate;
    } catch {
      const parent = dirname(folder);
      if (parent === folder)
        throw new Error(`mtac is not installed whole: its folder templates/${name} is missing`);
      folder = parent;
    }
  }
}
