import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";
import { contentSecurityPolicy, ISOLATION } from "./plugins/policy.ts";
import { precompiledTemplates } from "./plugins/templates.ts";

const root = fileURLToPath(new URL("./", import.meta.url));
const repository = fileURLToPath(new URL("../../", import.meta.url));

/** What emitted files say that they were made by. */
function packageVersion(): string {
  const parsed: unknown = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  if (typeof parsed === "object" && parsed !== null && "version" in parsed) return String(parsed.version);
  throw new Error("package.json has no version");
}

export default defineConfig({
  root,
  // Relative, so that the page can lie in any folder of any server.
  base: "./",
  define: { MTAC_VERSION: JSON.stringify(packageVersion()) },
  plugins: [precompiledTemplates(), contentSecurityPolicy()],
  worker: { format: "es", plugins: () => [precompiledTemplates()] },
  server: { fs: { allow: [repository] }, headers: ISOLATION },
  build: { target: "es2023", outDir: "dist", emptyOutDir: true, modulePreload: { polyfill: false } },
});
