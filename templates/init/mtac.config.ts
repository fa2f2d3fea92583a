import { defineConfig } from "mtac";

// For `mtac check`, `mtac types` and `mtac compile` without a spec, and for the Vite plugin.
export default defineConfig({ specs: ["src/attention.mta"], targets: ["webgpu"] });
