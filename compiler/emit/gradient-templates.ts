// Builds put a module with compiled templates in this one's place (`browser-modules.mjs`): those of kernels that only backward passes have,
// and the headers that only the C library's have.
// Pages load it when they are asked for gradients; here all are files.

export const compiled: Readonly<Record<string, object>> = {};
export const headers: Readonly<Record<string, string>> = {};
