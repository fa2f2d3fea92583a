import type { Plugin } from "vite";
import { STYLE_NONCE } from "../src/editor/nonce.ts";

/**
 * What the built page may do: load its own files, and nothing else. No inline script, no `eval`, no other server. The editor makes
 * style sheets while it runs, which the nonce allows; script has none.
 */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "worker-src 'self'",
  `style-src 'self' 'nonce-${STYLE_NONCE}'`,
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");

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
