import { emittedNames } from "../emit/launcher/names.ts";
import { partSpecifier } from "./module-id.ts";
import type { SpecContents } from "./spec-modules.ts";

/** One name that a spec's module exports. */
interface SpecExport {
  readonly exported: string;
  /** The part that it comes from, and what it is called there. */
  readonly part: string;
  readonly local: string;
}

/** The module that `import … from "./spec.mta"` gives: it only re-exports, so that unused parts can be dropped. */
export function facadeModule(contents: SpecContents): string {
  const lines = specExports(contents).map(({ exported, part, local }) => {
    const name = local === exported ? local : `${local} as ${exported}`;
    return `export { ${name} } from ${specifierOf(contents, part)};\n`;
  });
  return lines.join("");
}

/**
 * The same while Vite serves it: new kernels take the place of old ones wherever the spec is imported, without a reload. What
 * else the page may have read of an older version changes with it, since exports are live.
 *
 * @param key Tells this spec from others that the page imports.
 * @param runtime What launchers import.
 */
export function hotFacadeModule(contents: SpecContents, key: string, runtime: string): string {
  const exports = specExports(contents);
  const parts = [...new Set(exports.map(({ part }) => part))];
  const variable = (part: string): string => `$${parts.indexOf(part)}`;
  const names = exports.map(({ exported }) => exported);
  // A spec that has nothing yet must load all the same, to be followed when it has.
  const declared = exports.map(({ part, local, exported }) => `${exported} = ${variable(part)}.${local}`);
  const values = exports.map(({ part, local, exported }) => `${exported}: ${variable(part)}.${local}`);
  const kernels = contents.attentions.map((name) => variable(`${name}${contents.suffix}.kernels`));
  return `import { publish } from ${JSON.stringify(runtime)};
${parts.map((part) => `import * as ${variable(part)} from ${specifierOf(contents, part)};\n`).join("")}
${declared.length === 0 ? "" : `export let ${declared.join(", ")};\n`}
const fits = publish(${JSON.stringify(key)}, {
  stacks: ${JSON.stringify(contents.stacks)},
  kernels: [${kernels.join(", ")}],
  exports: { ${values.join(", ")} },
  follow: (now) => { ({ ${names.join(", ")} } = now); },
});

if (import.meta.hot) {
  import.meta.hot.accept();
  if (!fits) import.meta.hot.invalidate(${JSON.stringify(`mtac: what ${contents.spec} exports has changed`)});
}
`;
}

/** What the module of a spec exports. */
export function exportedNames(contents: SpecContents): readonly string[] {
  return specExports(contents).map(({ exported }) => exported);
}

function specifierOf({ spec }: SpecContents, part: string): string {
  return JSON.stringify(partSpecifier(spec, part));
}

function specExports({ attentions, stacks, suffix }: SpecContents): readonly SpecExport[] {
  const exports = [...attentions, ...stacks.map(({ name }) => name)].flatMap((name): SpecExport[] => {
    const { create, launcher, initParameters } = emittedNames(name);
    const part = `${name}${suffix}`;
    return [
      { exported: create, part, local: "create" },
      { exported: launcher, part, local: launcher },
      { exported: initParameters, part, local: "initParameters" },
    ];
  });
  const pipelines = attentions.map((name): SpecExport => {
    const part = `${name}${suffix}.kernels`;
    return { exported: emittedNames(name).pipeline, part, local: "pipeline" };
  });
  const [only, ...others] = attentions;
  if (only === undefined || others.length > 0) return [...exports, ...pipelines];
  const short = (local: string, part: string): SpecExport => ({ exported: local, part, local });
  return [
    ...exports,
    ...pipelines,
    short("create", `${only}${suffix}`),
    short("initParameters", `${only}${suffix}`),
    short("pipeline", `${only}${suffix}.kernels`),
  ];
}
