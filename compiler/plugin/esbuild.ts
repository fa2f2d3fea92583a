/**
 * `mtac/esbuild`: specs as modules in esbuild.
 *
 * @packageDocumentation
 */

import type { Plugin } from "esbuild";
import { plugin } from "./factory.ts";
import type { PluginOptions } from "./options.ts";

export type { PluginOptions } from "./options.ts";

/**
 * Makes the plugin.
 *
 * @throws MtacError MTA960 for an option that is none, or a value that it does not take.
 */
export default function mtac(options?: PluginOptions): Plugin {
  return plugin.esbuild(options);
}
