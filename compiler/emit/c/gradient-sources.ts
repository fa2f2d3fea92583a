// Builds put a module with the files' text in this one's place (`browser-modules.mjs`): the headers of the C library that only gradients need.
// Pages load it when they emit gradients in C; here all headers are files.

export const headers: Readonly<Record<string, string>> = {};
