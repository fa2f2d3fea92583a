// Builds put a module with compiled templates in this one's place (`browser-modules.mjs`): another than that of the kernels'
// templates, since pages that compile kernels print no launchers.
export { openTemplates } from "../template-library.ts";
