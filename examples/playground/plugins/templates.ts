import type { Plugin } from "vite";
import { browserModules } from "../../../browser-modules.mjs";

/** Puts what mtac's own build bundles in the place of the compiler's modules that read files. */
export function precompiledTemplates(): Plugin {
  return {
    name: "mtac-precompiled-templates",
    enforce: "pre",
    async load(id) {
      const module = browserModules.find(({ file }) => file === id.split("?")[0]);
      if (module === undefined) return null;
      for (const file of module.reads()) this.addWatchFile(file);
      return module.text();
    },
  };
}
