import { fileURLToPath } from "node:url";
import { build } from "vite";

/** Builds one of the site's pages that are programs, by its folder's name in `examples`, without a word unless something is wrong. */
export async function buildPage(name: "playground" | "toy", folder: string): Promise<void> {
  const configFile = fileURLToPath(new URL(`../../${name}/vite.config.ts`, import.meta.url));
  await build({ configFile, logLevel: "warn", build: { outDir: folder, emptyOutDir: true } });
}
