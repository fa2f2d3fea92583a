import path from "node:path";
import type { Plugin } from "vite";
import { failureMessage, type HostMessage } from "./host-message.ts";
import { parseId } from "./module-id.ts";
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
      if (!file.endsWith(".mta") || !modules.some(isSpecModule) || type === "delete") return undefined;
      const text = await read();
      try {
        await specs.build(text, file);
        return undefined;
      } catch (error) {
        const message = failureMessage(error, file, text, { showsFrames: true });
        if (message === null) throw error;
        const { hot, logger } = this.environment;
        logger.error(forTerminal(message), { timestamp: true });
        hot.send({ type: "error", err: { ...message, plugin: "mtac", stack: "" } });
        // Nobody fetches what cannot be had: pages go on with what they have. The text itself can be had.
        return modules.filter((module) => !isSpecModule(module));
      }
    },
  };
}

/** Not, say, `spec.mta?raw`. */
function isSpecModule({ id }: { readonly id: string | null }): boolean {
  return id !== null && parseId(id) !== null;
}

/** Vite's overlay shows where an error stands, its terminal does not. */
function forTerminal({ message, id, loc, frame }: HostMessage): string {
  const place = loc === undefined ? id : `${id}:${loc.line}:${loc.column + 1}`;
  return [message, `File: ${place}`, ...(frame === undefined ? [] : [frame])].join("\n");
}
