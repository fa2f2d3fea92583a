import path from "node:path";
import type { EnvironmentModuleNode, Plugin } from "vite";
import { failureMessage } from "./host-message.ts";
import type { SpecLoader } from "./spec-loader.ts";

/** What Vite's server needs beside loading: new kernels without a reload, and broken specs in its overlay. */
export function viteHooks(specs: SpecLoader): Pick<Plugin, "config" | "configResolved" | "hotUpdate"> {
  return {
    config: () => ({
      // Specs' modules name the runtime, which Vite would not find by looking at the sources: it would bundle it late, and reload.
      optimizeDeps: { exclude: ["mtac"] },
    }),
    configResolved({ command, root, server }) {
      const hot = command === "serve" && server.hmr !== false && specs.settings.target === "webgpu";
      specs.hotKey = hot ? (file) => path.relative(root, file).replaceAll("\\", "/") : null;
    },
    async hotUpdate({ file, modules, read, type }) {
      if (type === "delete") return undefined;
      for (const spec of specsOf(file, modules)) {
        const text = await (spec === file ? read() : specs.read(spec));
        try {
          await specs.build(text, spec);
        } catch (error) {
          const message = failureMessage(error, spec, text, { showsFrames: true });
          if (message === null) throw error;
          const { hot, logger } = this.environment;
          logger.error(`${message.message}\n${message.frame ?? ""}`, { timestamp: true });
          hot.send({ type: "error", err: { ...message, plugin: "mtac", stack: "" } });
          // Nobody fetches what cannot be had: pages go on with what they have.
          return [];
        }
      }
      return undefined;
    },
  };
}

/** The specs that a changed file is, or that are built with it. */
function specsOf(file: string, modules: readonly EnvironmentModuleNode[]): ReadonlySet<string> {
  const importers = modules.flatMap((module) => [...module.importers]);
  const files = [...modules, ...importers].flatMap((module) => module.file ?? []);
  return new Set(files.filter((each) => each.endsWith(".mta") && (each === file || !file.endsWith(".mta"))));
}
