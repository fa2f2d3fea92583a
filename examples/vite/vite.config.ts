import mtac from "mtac/vite";
import { defineConfig } from "vite";

/** Makes the page cross-origin isolated: without a GPU it computes on several threads then. Whatever serves `dist` should send these, too. */
const headers = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

export default defineConfig({
  plugins: [mtac({ target: "auto" })],
  server: { headers },
  preview: { headers },
});
