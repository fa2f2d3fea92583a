import type { Plugin } from "vite";
import { STYLE_NONCE } from "../src/editor/nonce.ts";

/**
 * What the built page may do: load its own files, and nothing else. No inline script, no `eval`, no other server. The editor makes
 * style sheets while it runs, which the nonce allows; script has none. WebAssembly is compiled where the processor computes, and its threads
 * are workers from text.
 */
const POLICY = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "worker-src 'self' blob:",
  `style-src 'self' 'nonce-${STYLE_NONCE}'`,
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");

/** What a server says of the page, so that the processor may compute on several threads. */
export const ISOLATION = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

/** Puts the Content-Security-Policy into the built page; the development server needs inline scripts of its own. */
export function contentSecurityPolicy(): Plugin {
  return {
    name: "mtac-content-security-policy",
    apply: "build",
    transformIndexHtml: () => [
      {
        tag: "meta",
        attrs: { "http-equiv": "Content-Security-Policy", content: POLICY },
        injectTo: "head-prepend",
      },
    ],
  };
}
