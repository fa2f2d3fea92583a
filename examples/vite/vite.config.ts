import mtac from "mtac/vite";
import { defineConfig } from "vite";

export default defineConfig({ plugins: [mtac()] });
