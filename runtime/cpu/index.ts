/// <reference lib="esnext.disposable" preserve="true" />
/**
 * `mtac/runtime/cpu`: runs compiled attentions on the processor, in Node: as machine code where there is a C compiler, else as WebAssembly.
 *
 * @packageDocumentation
 */
export * from "./api.ts";
export { type NodeCpuOptions, openCpu } from "./open.ts";
