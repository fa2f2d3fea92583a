/**
 * `mtac/vite`: specs as modules in Vite, with new kernels in a running page when a spec changes.
 *
 * @packageDocumentation
 */
import type { Plugin } from "vite";
import { plugin } from "./factory.ts";
import type { PluginOptions } from "./options.ts";

export type { PluginOptions } from "./options.ts";

/**
 * Makes the plugin.
 *
 * @throws MtacError MTA960 for an option that is none, or a value that it does not take.
 */
export default function mtac(options?: PluginOptions): Plugin {
  return {
    ...plugin.vite(options),
    config: ({ worker }) => ({
      // Specs' modules name the runtime, which Vite would not find by looking at the sources: it would bundle it late, and reload.
      optimizeDeps: { exclude: ["mtac"] },
      // Vite builds workers with plugins of their own, and in one piece, unless it is told that they load some of it later.
      worker: {
        format: worker?.format ?? (options?.target === "auto" ? "es" : "iife"),
        plugins: () => [plugin.vite(options)],
      },
    }),
  };
}
