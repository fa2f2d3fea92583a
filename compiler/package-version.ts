// Builds put a constant in this module's place (`browser-modules.mjs`): a page has no package.json to read.
export { packageVersion } from "./package.ts";
