// Builds put a module with compiled templates in this one's place (`browser-modules.mjs`): another than that of the kernels'
// templates, since pages write no packages for PyTorch.
export { openTemplates } from "../emit/template-library.ts";
