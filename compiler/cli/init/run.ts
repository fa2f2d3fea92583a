import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import Handlebars from "handlebars";
import { writeFolderAtomically } from "../../files/atomic-write.ts";
import { docsPage, packageRoot, packageVersion } from "../../package.ts";
import { plural } from "../../report/units.ts";
import { openOutput } from "../../terminal/output.ts";
import { filesInTheWay, wrongUsage } from "../errors.ts";
import type { InitFlags } from "./command.ts";

/** npm's rule for names without a scope, and none that it refuses for their length. */
const NAME = /^[a-z0-9][a-z0-9._-]{0,213}$/;

/**
 * `mtac init`: writes the starter project whole or not at all.
 * @throws MtacError MTA900 for a name that npm would refuse, MTA906 for a folder that cannot be written, MTA928 where files are in the
 * way.
 */
export function run(folder: string, flags: InitFlags): void {
  const output = openOutput(flags);
  const name = flags.name ?? nameFor(basename(resolve(folder)));
  if (!NAME.test(name))
    throw wrongUsage(
      `\`${name}\` is no name for a package`,
      "use small letters, digits, `-`, `_` and `.`: `mtac init --name my-attention`",
    );
  const files = starterFiles({ name, version: packageVersion() });
  const inTheWay = Object.keys(files).filter((file) => existsSync(join(folder, file)));
  if (inTheWay.length > 0) throw filesInTheWay(folder, inTheWay);
  writeFolderAtomically(folder, files);
  const { style } = output;
  const place = relative(process.cwd(), folder);
  output.text(
    `${style.green("✓")} ${plural(Object.keys(files).length, "file")} in ${place || "this folder"}`,
  );
  output.text(
    `\n${place === "" ? "" : `  cd ${shellWord(place)}\n`}  npm install\n  npm run dev     ${style.dim("the page; npm test runs the attention in Node")}`,
  );
  const page = docsPage("language");
  if (page !== null) output.text(style.dim(`\nthe language: ${page}`));
  output.result({ folder, name, files: Object.keys(files) });
}

/** A path to be pasted after `cd`: POSIX shells and PowerShell take it. */
function shellWord(path: string): string {
  const word = path.startsWith("-") ? `./${path}` : path;
  return /^[\w./\\:+@%\p{L}-]+$/u.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** A folder's name as npm wants it. */
function nameFor(folder: string): string {
  const name = folder
    // Letters stay where only their accents must go.
    .normalize("NFD")
    .replace(/\p{M}+/gu, "")
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, "-")
    .replace(/^[-._]+|[-._]+$/g, "");
  return name === "" ? "mtac-project" : name;
}

/** The starter's files by path, as `templates/init` has them. */
function starterFiles(model: { readonly name: string; readonly version: string }): Record<string, string> {
  const folder = fileURLToPath(new URL("templates/init/", packageRoot()));
  const files: Record<string, string> = {};
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const text = readFileSync(path, "utf8");
    // npm leaves `.gitignore` out of packages: it has another name there.
    const name = relative(folder, path)
      .replaceAll("\\", "/")
      .replace(/^gitignore$/, ".gitignore");
    files[name.replace(/\.hbs$/, "")] = name.endsWith(".hbs")
      ? Handlebars.compile(text, { noEscape: true })(model)
      : text;
  }
  return files;
}
