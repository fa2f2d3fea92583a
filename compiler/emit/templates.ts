import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import Handlebars from "handlebars";

/** The `templates` folder of the package: beside `compiler` in the sources, above `dist` in the built package. */
function templateFolder(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (;;) {
    const candidate = join(folder, "templates", "wgsl");
    try {
      readdirSync(candidate);
      return candidate;
    } catch {
      const parent = dirname(folder);
      if (parent === folder)
        throw new Error("mtac is not installed whole: its folder templates/wgsl is missing");
      folder = parent;
    }
  }
}

/** Templates are compiled once a process, each when it is first used. */
class TemplateSet {
  readonly #folder: string;
  readonly #handlebars = Handlebars.create();
  readonly #compiled = new Map<string, Handlebars.TemplateDelegate>();

  constructor(folder: string) {
    this.#folder = folder;
    for (const file of readdirSync(join(folder, "partials"))) {
      this.#handlebars.registerPartial(file.replace(/\.hbs$/, ""), this.#compile(join("partials", file)));
    }
  }

  #compile(file: string): Handlebars.TemplateDelegate {
    const text = readFileSync(join(this.#folder, file), "utf8");
    return this.#handlebars.compile(text, { noEscape: true, preventIndent: true });
  }

  render(name: string, model: object): string {
    let template = this.#compiled.get(name);
    if (template === undefined) {
      template = this.#compile(`${name}.wgsl.hbs`);
      this.#compiled.set(name, template);
    }
    return template(model);
  }
}

let templates: TemplateSet | undefined;

/** Renders one WGSL template with a kernel model. */
export function renderWgsl(name: string, model: object): string {
  templates ??= new TemplateSet(templateFolder());
  return templates.render(name, model);
}
