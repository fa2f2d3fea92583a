/**
 * `mtac/runtime/hot/auto`: the same of `mtac/runtime/auto`.
 *
 * @packageDocumentation
 */
import { createAutoLauncher as create } from "../auto/launcher.ts";
import { HotSpecs } from "./specs.ts";

export * from "../auto/index.ts";

const hot = new HotSpecs(create);

/** Called by the module of a spec whenever it is loaded; see `HotSpecs.publish`. */
export const publish: typeof hot.publish = (key, version) => hot.publish(key, version);
/** As `createAutoLauncher` of `mtac/runtime/auto`, with the newest kernels of the artifact's spec, and with newer ones when they come. */
export const createAutoLauncher: typeof hot.create = hot.create;
