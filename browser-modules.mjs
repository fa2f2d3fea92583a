// Modules of the compiler that read files, as builds bundle them: with what those files hold. A page has no files, and a strict
// Content-Security-Policy allows no code that is made while it runs, so that templates are compiled here.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { transform } from "esbuild";
import Handlebars from "handlebars";

const root = fileURLToPath(new URL("./", import.meta.url));
const templates = join(root, "templates");

/** Kernels that only backward passes have: pages load their templates, and partials that no other kernel has, when they train. */
const OF_GRADIENTS =
  /\/(?:[\w-]*(?:gradient|adjoint)[\w-]*|backward|clear|key_product|largest|pairs|pointwise|row_product|sum)\.[\w.]*hbs$/;

/** Folders of kernels' templates. */
const KERNELS = ["wgsl", "cuda", "capi"];

/** @type {import("./browser-modules.d.mts").browserModules} */
export const browserModules = [
  libraryModule("compiler/emit/template-library.ts", () => forwardNames(), templateLibrary),
  libraryModule("compiler/emit/gradient-templates.ts", () => gradientNames(), compiledTemplates),
  libraryModule(
    "compiler/emit/launcher/template-library.ts",
    () => templateNames(["launcher"]),
    templateLibrary,
  ),
  libraryModule("compiler/python/template-library.ts", () => templateNames(["python"]), templateLibrary),
  {
    file: join(root, "compiler/emit/c/library-source.ts"),
    text: librarySources,
    reads: () => sourceNames("threads.h").map((name) => join(templates, "c", name)),
  },
  {
    file: join(root, "compiler/emit/c/gradient-sources.ts"),
    text: async () => headers("headers", gradientHeaderNames()),
    reads: () => gradientHeaderNames().map((name) => join(templates, "c", name)),
  },
  { file: join(root, "compiler/package-version.ts"), text: packageVersion, reads: () => [] },
];

/**
 * A module, and the same with compiled templates.
 * @param {string} file @param {() => readonly string[]} names @param {(names: readonly string[]) => Promise<string>} write
 */
function libraryModule(file, names, write) {
  return {
    file: join(root, file),
    text: () => write(names()),
    reads: () => names().map((name) => join(templates, name)),
  };
}

/** @param {readonly string[]} names */
async function compiledTemplates(names) {
  const options = await templateOptions();
  const compiled = names.map((name) => {
    const text = readFileSync(join(templates, name), "utf8");
    return `${JSON.stringify(name)}: ${Handlebars.precompile(text, options)}`;
  });
  return `export const compiled = {\n${compiled.join(",\n")}\n};\n`;
}

/** @param {readonly string[]} names */
async function templateLibrary(names) {
  return `import Handlebars from "handlebars/runtime";
import { TEMPLATE_HELPERS } from ${JSON.stringify(join(root, "compiler/emit/text/marks.ts"))};
${await compiledTemplates(names)}
const libraries = [];
function register({ language, handlebars }, templates) {
  for (const name of Object.keys(templates)) {
    const partial = /^(.*)\\/partials\\/(.*)\\.hbs$/.exec(name);
    if (partial !== null && partial[1] === language)
      handlebars.registerPartial(partial[2], handlebars.template(templates[name]));
  }
}
export async function loadGradientTemplates() {
  addTemplates((await import(${JSON.stringify(join(root, "compiler/emit/gradient-templates.ts"))})).compiled);
}
export function addTemplates(more) {
  Object.assign(compiled, more);
  for (const library of libraries) register(library, more);
}
export function openTemplates(language) {
  const handlebars = Handlebars.create();
  handlebars.registerHelper(TEMPLATE_HELPERS);
  const library = { language, handlebars };
  libraries.push(library);
  register(library, compiled);
  return { template: (file) => handlebars.template(compiled[\`\${language}/\${file}\`]) };
}
`;
}

/** Templates of the kernels that only backward passes have, with the partials that no others have. */
function gradientNames() {
  const forward = new Set(forwardNames());
  return templateNames(KERNELS).filter((name) => !forward.has(name));
}

/** All others. */
function forwardNames() {
  const all = templateNames(KERNELS);
  const needed = new Set(all.filter((name) => !name.includes("/partials/") && !OF_GRADIENTS.test(name)));
  for (const name of needed) {
    const text = readFileSync(join(templates, name), "utf8");
    for (const [, partial] of text.matchAll(/\{\{~?#?> *([\w-]+)/g))
      needed.add(`${name.slice(0, name.indexOf("/"))}/partials/${partial}.hbs`);
  }
  return all.filter((name) => needed.has(name));
}

/** The headers of the C library that emitted files are made of: what one of them includes. @param {string} first */
function sourceNames(first) {
  const names = new Set([first]);
  for (const name of names) {
    const text = readFileSync(join(templates, "c", name), "utf8");
    for (const [, included] of text.matchAll(/^#include "(.*)"$/gm)) names.add(included);
  }
  return [...names].sort();
}

/** Those that only gradients need. */
function gradientHeaderNames() {
  const forward = new Set(sourceNames("threads.h"));
  return sourceNames("gradient-threads.h").filter((name) => !forward.has(name));
}

/** A constant that holds headers' texts. @param {string} constant @param {readonly string[]} names */
function headers(constant, names) {
  const texts = names.map((name) => [name, readFileSync(join(templates, "c", name), "utf8")]);
  return `export const ${constant} = ${JSON.stringify(Object.fromEntries(texts))};\n`;
}

async function librarySources() {
  return `${headers("texts", sourceNames("threads.h"))}
export function librarySource(name) { return texts[name]; }
export function addLibrarySources(more) { Object.assign(texts, more); }
export async function loadGradientSources() {
  addLibrarySources((await import(${JSON.stringify(join(root, "compiler/emit/c/gradient-sources.ts"))})).headers);
}
`;
}

async function templateOptions() {
  const source = readFileSync(join(root, "compiler/emit/template-options.ts"), "utf8");
  const { code } = await transform(source, { loader: "ts", format: "esm" });
  const module = await import(`data:text/javascript,${encodeURIComponent(code)}`);
  return module.TEMPLATE_OPTIONS;
}

async function packageVersion() {
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  return `export function packageVersion() { return ${JSON.stringify(version)}; }\n`;
}

/**
 * Paths inside the folder of templates, with slashes.
 * @param {readonly string[]} folders
 */
function templateNames(folders) {
  return folders.flatMap((folder) =>
    readdirSync(join(templates, folder), { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".hbs"))
      .map((file) => `${folder}/${file.replaceAll("\\", "/")}`)
      .sort(),
  );
}

/**
 * The same for esbuild.
 * @type {import("esbuild").Plugin}
 */
export const forBrowsers = {
  name: "browser-modules",
  setup(context) {
    context.onLoad(
      {
        filter:
          /[\\/](template-library|gradient-templates|gradient-sources|library-source|package-version)\.ts$/,
      },
      async ({ path }) => {
        const module = browserModules.find(({ file }) => file === path);
        if (module === undefined) return undefined;
        return {
          contents: await module.text(),
          loader: "js",
          watchFiles: module.reads(),
          resolveDir: dirname(path),
        };
      },
    );
  },
};
