import { type Language, openTemplates, type Template, type TemplateLibrary } from "./template-library.ts";

/** Templates are compiled once a process, each when it is first used. */
class TemplateSet {
  readonly #library: TemplateLibrary;
  readonly #compiled = new Map<string, Template>();

  constructor(library: TemplateLibrary) {
    this.#library = library;
  }

  render(file: string, model: object): string {
    let template = this.#compiled.get(file);
    if (template === undefined) {
      template = this.#library.template(file);
      this.#compiled.set(file, template);
    }
    return template(model);
  }
}

const templates = new Map<Language, TemplateSet>();

function render(language: Language, file: string, model: object): string {
  let set = templates.get(language);
  if (set === undefined) {
    set = new TemplateSet(openTemplates(language));
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
