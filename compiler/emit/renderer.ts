import type { Template, TemplateLibrary } from "./template-library.ts";

/**
 * Fills in templates of a registry, each compiled once a process, when it is first used.
 *
 * @param open The templates and partials of a folder inside the package's `templates`.
 */
export function rendererOf<Templates extends { readonly [name in keyof Templates]: object }>(
  open: (folder: string) => TemplateLibrary,
): <Name extends string & keyof Templates>(name: Name, model: Templates[Name]) => string {
  const compiled = new Map<string, Template>();
  const libraries = new Map<string, TemplateLibrary>();
  const openTemplate = (name: string): Template => {
    const end = name.indexOf("/");
    const folder = name.slice(0, end);
    let library = libraries.get(folder);
    if (library === undefined) {
      library = open(folder);
      libraries.set(folder, library);
    }
    return library.template(name.slice(end + 1));
  };
  return (name, model) => {
    let template = compiled.get(name);
    if (template === undefined) {
      template = openTemplate(name);
      compiled.set(name, template);
    }
    return template(model);
  };
}
