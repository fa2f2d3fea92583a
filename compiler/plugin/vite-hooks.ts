import path from "node:path";
import type { DevEnvironment, EnvironmentModuleNode, Plugin } from "vite";
import { moduleFacts } from "../targets.ts";
import { failureMessage, type HostMessage } from "./host-message.ts";
import { parseId, realId, servedId } from "./module-id.ts";
import { resolveForServer, resolveSpec } from "./resolve-spec.ts";
import type { SpecLoader } from "./spec-loader.ts";

/** What Vite's server needs beside loading: new kernels without a reload, and broken specs in its overlay. */
export function viteHooks(specs: SpecLoader): Pick<Plugin, "configResolved" | "hotUpdate" | "resolveId"> {
  let resolveId = resolveSpec;
  return {
    // Before Vite itself, which finds the file, but not an address for it.
    resolveId: { order: "pre", handler: (source, importer) => resolveId(source, importer) },
    configResolved({ command, root, server }) {
      if (command === "serve") resolveId = resolveForServer;
      const { hotRuntime } = moduleFacts(specs.settings.target);
      const hot = command === "serve" && server.hmr !== false && hotRuntime !== null;
      specs.hotKey = hot ? (file) => path.relative(root, file).replaceAll("\\", "/") : null;
    },
    async hotUpdate({ file, modules: found, read, type }) {
      if (type === "delete") return undefined;
      const { moduleGraph } = this.environment;
      const modules = [...new Set([...found, ...servedModules(moduleGraph, file)])];
      for (const spec of specsOf(file, modules)) {
        const text = await (spec === file ? read() : specs.read(spec));
        try {
          const built = await specs.build(text, spec);
          // A page that asked for these names in vain has run nothing of the spec, and would take no update.
          if (specs.newExports(built).length > 0) return reload(this.environment, spec);
        } catch (error) {
          const message = failureMessage(error, spec, text, { showsFrames: true });
          if (message === null) throw error;
          const { hot, logger } = this.environment;
          logger.error(forTerminal(message), { timestamp: true });
          hot.send({ type: "error", err: { ...message, plugin: "mtac", stack: "" } });
          // Nobody fetches what cannot be had: pages go on with what they have. The text itself can be had.
          return spec === file ? modules.filter((module) => !isSpecModule(module)) : [];
        }
      }
      // Parts of attentions that are gone: nobody imports them, and Vite would load pages again on their behalf.
      const orphans = orphansOf(modules);
      for (const orphan of orphans) moduleGraph.invalidateModule(orphan);
      const rest = modules.filter((module) => !orphans.has(module));
      // Vite's own list, as it is, leaves other plugins' hooks their say.
      return orphans.size === 0 && rest.length === found.length ? undefined : rest;
    },
  };
}

/** Loads pages again, with a spec made anew; gives what else is to be updated: nothing. */
function reload({ moduleGraph, hot }: DevEnvironment, spec: string): EnvironmentModuleNode[] {
  const modules = [...(moduleGraph.getModulesByFile(spec) ?? []), ...servedModules(moduleGraph, spec)];
  for (const module of modules) moduleGraph.invalidateModule(module);
  hot.send({ type: "full-reload" });
  return [];
}

/** A spec's modules that are served under another name than its file's: Vite does not know them to be of that file. */
function servedModules(graph: DevEnvironment["moduleGraph"], file: string): Iterable<EnvironmentModuleNode> {
  return graph.getModulesByFile(servedId(file)) ?? [];
}

/** The specs that a changed file is, or that are built with it. */
function specsOf(file: string, modules: readonly EnvironmentModuleNode[]): ReadonlySet<string> {
  const importers = modules.flatMap((module) => [...module.importers]);
  const concerned = [...modules, ...importers]
    .filter(isSpecModule)
    .flatMap(({ file: own }) => (own === null ? [] : realId(own)));
  return new Set(concerned.filter((each) => each === file || !file.endsWith(".mta")));
}

/** Not, say, `spec.mta?raw`. */
function isSpecModule({ id }: { readonly id: string | null }): boolean {
  return id !== null && parseId(id) !== null;
}

/** Parts of specs that no other module imports, and what only those import. */
function orphansOf(modules: readonly EnvironmentModuleNode[]): ReadonlySet<EnvironmentModuleNode> {
  const parts = modules.filter(({ id }) => id !== null && parseId(id)?.part != null);
  const orphans = new Set<EnvironmentModuleNode>();
  for (let found = -1; found !== orphans.size; ) {
    found = orphans.size;
    for (const part of parts) if ([...part.importers].every((each) => orphans.has(each))) orphans.add(part);
  }
  return orphans;
}

/** Vite's overlay shows where an error stands, its terminal does not. */
function forTerminal({ message, id, loc, frame }: HostMessage): string {
  const place = loc === undefined ? id : `${id}:${loc.line}:${loc.column + 1}`;
  return [message, `File: ${place}`, ...(frame === undefined ? [] : [frame])].join("\n");
}
