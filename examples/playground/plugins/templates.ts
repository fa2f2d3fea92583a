import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import Handlebars from "handlebars";
import type { Plugin } from "vite";
import { TEMPLATE_OPTIONS } from "../../../compiler/emit/template-library.ts";

const LIBRARY = fileURLToPath(new URL("../../../compiler/emit/template-library.ts", import.meta.url));
const TEMPLATES = fileURLToPath(new URL("../../../templates/", import.meta.url));

/**
 * Puts templates that are compiled already in the place of the compiler's module that reads and compiles them: a page has no
 * files, and a strict Content-Security-Policy allows no code that is made while it runs.
 */
export function precompiledTemplates(): Plugin {
  return {
    name: "mtac-precompiled-templates",
    enforce: "pre",
    load(id) {
      if (id.split("?")[0] !== LIBRARY) return null;
      for (const file of templateFiles("wgsl").concat(templateFiles("cuda")))
        this.addWatchFile(join(TEMPLATES, file));
      return moduleText();
    },
  };
}

/** A module with the same exports as `template-library.ts`. */
function moduleText(): string {
  const languages = ["wgsl", "cuda"].map((language) => {
    const entries = templateFiles(language).map((file) => {
      const text = readFileSync(join(TEMPLATES, file), "utf8");
      const compiled = Handlebars.precompile(text, TEMPLATE_OPTIONS);
      return `${JSON.stringify(file.slice(language.length + 1))}: ${String(compiled)}`;
    });
    return `${language}: {\n${entries.join(",\n")}\n}`;
  });
  return `import Handlebars from "handlebars/runtime";
export const TEMPLATE_OPTIONS = ${JSON.stringify(TEMPLATE_OPTIONS)};
const compiled = {\n${languages.join(",\n")}\n};
export function openTemplates(language) {
  const handlebars = Handlebars.create();
  const files = compiled[language];
  for (const file of Object.keys(files)) {
    const partial = /^partials\\/(.*)\\.hbs$/.exec(file);
    if (partial !== null) handlebars.registerPartial(partial[1], handlebars.template(files[file]));
  }
  return { template: (file) => handlebars.template(files[file]) };
}
`;
}

/** Paths inside the folder of templates, with slashes. */
function templateFiles(language: string): string[] {
  return readdirSync(join(TEMPLATES, language), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".hbs"))
    .map((file) => `${language}/${file.replaceAll("\\", "/")}`)
    .sort();
}
