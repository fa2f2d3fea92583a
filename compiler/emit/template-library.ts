import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import Handlebars from "handlebars";
import { templateFolder } from "./template-folder.ts";
import { TEMPLATE_OPTIONS } from "./template-options.ts";
import { TEMPLATE_HELPERS } from "./text/marks.ts";

// Builds put a module with compiled templates in this one's place (`browser-modules.mjs`).

export type Language = "wgsl" | "cuda";

/** Languages in which all kernels of a plan are one file: what they share, then each of them. */
export type SharingLanguage = Extract<Language, "cuda">;

/** Fills a kernel model in. */
export type Template = (model: object) => string;

/** The templates of one language, with their partials. */
export interface TemplateLibrary {
  /** @param file Path inside the language's folder: `fused.wgsl.hbs`. */
  template(file: string): Template;
}

/** Brings the templates of gradients' kernels, before one of these is emitted: builds leave them out of what pages load first. */
export async function loadGradientTemplates(): Promise<void> {
  // All templates are files here.
}

/** Takes compiled templates beside those that there are. */
export function addTemplates(_compiled: Readonly<Record<string, object>>): void {
  // All templates are files here.
}

/** Reads a language's partials; each template is read when it is first asked for. */
export function openTemplates(language: string): TemplateLibrary {
  const folder = templateFolder(language);
  const handlebars = Handlebars.create();
  handlebars.registerHelper(TEMPLATE_HELPERS);
  const compile = (file: string): Handlebars.TemplateDelegate =>
    handlebars.compile(readFileSync(join(folder, file), "utf8"), TEMPLATE_OPTIONS);
  for (const file of readdirSync(join(folder, "partials")))
    handlebars.registerPartial(file.replace(/\.hbs$/, ""), compile(join("partials", file)));
  return { template: compile };
}
