/// <reference lib="esnext.disposable" preserve="true" />
/**
 * `mtac/runtime/wasm`: runs compiled attentions on the processor, in browsers: as WebAssembly, on several threads where the page is cross-origin isolated.
 *
 * @packageDocumentation
 */
export * from "../cpu/api.ts";
export { openWasm, type WasmOptions } from "./open.ts";
