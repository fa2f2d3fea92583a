import { fileURLToPath } from "node:url";
import { build } from "vite";

const CONFIG = fileURLToPath(new URL("../vite.config.ts", import.meta.url));

/** Builds the page into a folder, without a word unless something is wrong. */
export async function buildPlayground(folder: string): Promise<void> {
  await build({ configFile: CONFIG, logLevel: "warn", build: { outDir: folder, emptyOutDir: true } });
}
