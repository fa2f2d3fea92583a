import { readFileSync } from "node:fs";
import { join } from "node:path";
import { templateFolder } from "../template-folder.ts";

// Builds put a module with the files' text in this one's place (`browser-modules.mjs`).

/** The text of a header of the C library, by its name in `templates/c`. */
export function librarySource(name: string): string {
  return readFileSync(join(templateFolder("c"), name), "utf8");
}

/** Takes headers beside those that there are. */
export function addLibrarySources(_headers: Readonly<Record<string, string>>): void {
  // All headers are files here.
}

/** Brings the headers that only gradients need, before they are emitted: builds leave them out of what pages load first. */
export async function loadGradientSources(): Promise<void> {
  // All headers are files here.
}
