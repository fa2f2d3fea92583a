import { fileURLToPath } from "node:url";
import mtac from "mtac/vite";
import { defineConfig } from "vite";
import { contentSecurityPolicy, ISOLATION } from "../playground/plugins/policy.ts";

const root = fileURLToPath(new URL("./", import.meta.url));
const repository = fileURLToPath(new URL("../../", import.meta.url));

export default defineConfig({
  root,
  // Relative, so that the page can lie in any folder of any server.
  base: "./",
  plugins: [mtac({ target: "auto", types: false }), contentSecurityPolicy()],
  server: { fs: { allow: [repository] }, headers: ISOLATION },
  preview: { headers: ISOLATION },
  build: { target: "es2023", outDir: "dist", emptyOutDir: true, modulePreload: { polyfill: false } },
});
