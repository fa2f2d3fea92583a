import { createUnplugin } from "unplugin";
import { mtacPlugin } from "./factory.ts";
import type { PluginOptions } from "./options.ts";

/** One plugin for each bundler, never several. */
export const plugin = createUnplugin<PluginOptions | undefined, false>(mtacPlugin);
