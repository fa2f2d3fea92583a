/**
 * `mtac/bun`: specs as modules in `Bun.build`, and in what Bun runs with it preloaded.
 *
 * @packageDocumentation
 */
import { plugin } from "./factory.ts";
import type { PluginOptions } from "./options.ts";

export type { PluginOptions } from "./options.ts";

/** As much of Bun's `BunPlugin` as a plugin has, so that nobody needs Bun's types. */
export interface BunPlugin {
  readonly name: string;
  /** Called by Bun. */
  setup(build: object): void | Promise<void>;
}

/**
 * Makes the plugin.
 *
 * @throws MtacError MTA960 for an option that is none, or a value that it does not take.
 */
export default function mtac(options?: PluginOptions): BunPlugin {
  return plugin.bun(options);
}
