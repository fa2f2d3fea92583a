import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import Handlebars from "handlebars";

/** The `templates` folder of the package: beside `compiler` in the sources, above `dist` in the built package. */
function templateFolder(language: Language): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (;;) {
    const candidate = join(folder, "templates", language);
    try {
      readdirSync(candidate);
      return candidate;
    } catch {
      const parent = dirname(folder);
      if (parent === folder)
        throw new Error(`mtac is not installed whole: its folder templates/${language} is missing`);
      folder = parent;
    }
  }
}

type Language = "wgsl" | "cuda";

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

  render(file: string, model: object): string {
    let template = this.#compiled.get(file);
    if (template === undefined) {
      template = this.#compile(file);
      this.#compiled.set(file, template);
    }
    return template(model);
  }
}

const templates = new Map<Language, TemplateSet>();

function render(language: Language, file: string, model: object): string {
  let set = templates.get(language);
  if (set === undefined) {
    set = new TemplateSet(templateFolder(language));
    templates.set(language, set);
  }
  return set.render(file, model);
}

/** Renders one WGSL template with a kernel model. */
export function renderWgsl(name: string, model: object): string {
  return render("wgsl", `${name}.wgsl.hbs`, model);
}

/** Renders one CUDA template, `templates/cuda/<name>.cu.hbs`, with a kernel model. */
export function renderCuda(name: string, model: object): string {
  return render("cuda", `${name}.cu.hbs`, model);
}

/** Renders a file beside the CUDA sources, `templates/cuda/<name>.hbs`: `header.h`, `library.cmake`. */
export function renderBesideCuda(name: string, model: object): string {
  return render("cuda", `${name}.hbs`, model);
}
