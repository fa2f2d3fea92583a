import { createRequire } from "node:module";
import { MtacError } from "../../runtime/contract/index.ts";

/** TypeScript, from ts-morph: an optional peer dependency that mtac loads only for modules written in TypeScript. */
export const { ts } = loadTsMorph();

/** By `require`: an `import` reads all 12 MB a second time to find the exports, which takes 100 ms. */
function loadTsMorph(): typeof import("ts-morph") {
  try {
    return createRequire(import.meta.url)("ts-morph");
  } catch (cause) {
    const missing = cause instanceof Error && "code" in cause && cause.code === "MODULE_NOT_FOUND";
    if (!missing) throw cause;
    throw new MtacError("MTA907", "usage", "this needs the package `ts-morph`, which is not installed", {
      cause,
      remedy: "npm install --save-dev ts-morph",
    });
  }
}
