import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Application, type ProjectReflection } from "typedoc";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

/** What users import (`mtac/runtime`), by the source that it comes from. */
function entryPoints(): ReadonlyMap<string, string> {
  const { exports }: { exports: Record<string, string | { types: string }> } = JSON.parse(
    readFileSync(`${ROOT}package.json`, "utf8"),
  );
  const entries = Object.entries(exports).flatMap(([name, target]): [string, string][] =>
    typeof target === "string"
      ? []
      : [[target.types.replace("./dist/types/", "").replace(".d.ts", ".ts"), name.replace(".", "mtac")]],
  );
  return new Map(entries);
}

/** Modules get the names by which they are imported. */
function rename(project: ProjectReflection, names: ReadonlyMap<string, string>): void {
  for (const module of project.children ?? []) {
    const source = module.sources?.[0]?.fullFileName.replaceAll("\\", "/").slice(ROOT.length) ?? "";
    module.name = names.get(source) ?? module.name;
  }
}

/**
 * TypeDoc counts a name twice where it is exported on two ways, and then links to a second heading (`#name-1`) of which there is
 * but one.
 */
function mendLinks(folder: string): void {
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".md"))
    .map((file) => join(folder, file));
  const texts = new Map(files.map((file) => [file, readFileSync(file, "utf8")]));
  for (const [file, text] of texts) {
    const mended = text.replace(/\]\(([^)#]*)#([\w-]+)-1\)/g, (link, path: string, name: string) => {
      const target = texts.get(path === "" ? file : resolve(dirname(file), path)) ?? "";
      const headings = target.match(new RegExp(`^#+ ${name}\\W*$`, "gim")) ?? [];
      return headings.length === 1 ? `](${path}#${name})` : link;
    });
    if (mended !== text) writeFileSync(file, mended);
  }
}

/** Of the plugin for Markdown, whose options TypeDoc's own types do not know. */
const MARKDOWN = {
  entryFileName: "index",
  hidePageHeader: true,
  hideBreadcrumbs: true,
  useCodeBlocks: true,
  parametersFormat: "table",
  indexFormat: "table",
  sanitizeComments: true,
};

/**
 * The API of every entry point of the package, from its TSDoc, with what writes it.
 * @throws Error where TypeDoc finds no API.
 */
export async function readApi(): Promise<{ readonly app: Application; readonly project: ProjectReflection }> {
  const names = entryPoints();
  const app = await Application.bootstrapWithPlugins({
    entryPoints: [...names.keys()].map((file) => `${ROOT}${file}`),
    tsconfig: `${ROOT}tsconfig.json`,
    plugin: ["typedoc-plugin-markdown"],
    readme: "none",
    name: "API",
    excludePrivate: true,
    // What classes have from Node's and the DOM's own.
    excludeExternals: true,
    excludeInternal: true,
    skipErrorChecking: true,
    logLevel: "Error",
    router: "module",
    // What users look for first.
    groupOrder: ["Functions", "Classes", "Interfaces", "Type Aliases", "Variables"],
    ...MARKDOWN,
  });
  const project = await app.convert();
  if (project === undefined) throw new Error("TypeDoc found no API");
  rename(project, names);
  return { app, project };
}

/** Writes the API as one page for each entry point. What the folder held before is removed. */
export async function writeApi(folder: string): Promise<void> {
  const { app, project } = await readApi();
  // Where a declaration stands in the sources says nothing to those who have the package.
  for (const reflection of Object.values(project.reflections))
    if ("sources" in reflection) delete reflection.sources;
  // Not `generateOutputs`, which would empty the folder that TypeDoc writes to by default: docs/.
  await app.outputs.writeOutput({ name: "markdown", path: folder }, project);
  mendLinks(folder);
}
