import mtac from "mtac/vite";
import { defineConfig } from "vite";

// "auto": a page computes on its GPU, and where it has none on the processor, as WebAssembly.
export default defineConfig({ plugins: [mtac({ target: "auto" })] });
