import { readFileSync } from "node:fs";
import { join } from "node:path";
import { templateFolder } from "../template-folder.ts";

// Builds put a module with the files' text in this one's place (`browser-modules.mjs`).

/** The text of a header of the C library, by its name in `templates/c`. */
export function librarySource(name: string): string {
  return readFileSync(join(templateFolder("c"), name), "utf8");
}
