/**
 * `mtac/runtime/hot`: the runtime as Vite's development server gives it to the modules of specs. Launchers made here take new
 * kernels when their spec changes, in place: whoever holds one goes on with it. Nothing of this is in a production build.
 *
 * @packageDocumentation
 */

import { HotSpecs } from "./hot/specs.ts";
import { createLauncher as create } from "./webgpu/launcher.ts";

export * from "./index.ts";

const hot = new HotSpecs(create);

/** Called by the module of a spec whenever it is loaded; see `HotSpecs.publish`. */
export const publish: typeof hot.publish = (key, version) => hot.publish(key, version);
/** As `createLauncher` of `mtac/runtime`, with the newest kernels of the artifact's spec, and with newer ones when they come. */
export const createLauncher: typeof hot.create = hot.create;
