// Builds put a module with compiled templates in this one's place (`browser-modules.mjs`): those of kernels that only backward passes have.
// Pages load it when they are asked for gradients; here all templates are files.

export const compiled: Readonly<Record<string, object>> = {};
