/**
 * `mtac/runtime/hot/wasm`: the same of `mtac/runtime/wasm`.
 *
 * @packageDocumentation
 */
import { createCpuLauncher as create } from "../cpu/launcher.ts";
import { HotSpecs } from "./specs.ts";

export * from "../wasm/index.ts";

const hot = new HotSpecs(create);

/** Called by the module of a spec whenever it is loaded; see `HotSpecs.publish`. */
export const publish: typeof hot.publish = (key, version) => hot.publish(key, version);
/** As `createCpuLauncher` of `mtac/runtime/wasm`, with the newest kernels of the artifact's spec, and with newer ones when they come. */
export const createCpuLauncher: typeof hot.create = hot.create;
