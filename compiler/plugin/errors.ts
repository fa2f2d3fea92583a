import { MtacError } from "../../runtime/contract/index.ts";

/** What the bundler plugin itself refuses (MTA96x). */

export function badOption(message: string, remedy: string): MtacError {
  return new MtacError("MTA960", "usage", `mtac's plugin: ${message}`, { remedy });
}

export function unknownModule(spec: string, module: string): MtacError {
  return new MtacError("MTA961", "input", `${spec} has no attention or stack for the module ${module}`, {
    remedy: `import from ${spec} itself`,
  });
}

export function unsupportedName(file: string): MtacError {
  return new MtacError(
    "MTA962",
    "input",
    `webpack cannot load ${file}: it has no files with \`?\` in their names`,
    {
      remedy: "rename the spec",
    },
  );
}
