import { dirname } from "node:path";
import { loadConfig } from "../../config/load.ts";
import { holds } from "../../files/atomic-write.ts";
import type { Diagnostic } from "../../language/diagnostics.ts";
import { declarationsFile, writeDeclarations } from "../../plugin/declarations-file.ts";
import type { DeclarationsForm } from "../../plugin/options.ts";
import { type Output, openOutput } from "../../terminal/output.ts";
import { inLine } from "../../terminal/style.ts";
import { wrongUsage } from "../errors.ts";
import { Finished } from "../failure.ts";
import { analyseSpecFile, isTypeScript, namedSpecs, printDiagnostics } from "../specs/spec-file.ts";
import type { TypesFlags } from "./command.ts";

interface DeclaredSpec {
  readonly spec: string;
  readonly file: string;
  /** Whether the file was, or with `--check` would be, written. */
  readonly changed: boolean;
  readonly diagnostics: readonly Diagnostic[];
}

/** Whether a build step can import a spec, by its name. */
function isImportable(spec: string): boolean {
  return spec.endsWith(".mta");
}

/**
 * `mtac types`: a `.d.ts` beside each spec. Specs with errors are reported, and their files left as they are.
 *
 * @throws MtacError MTA900, MTA905, MTA906, MTA907, MTA926, MTA930
 */
export async function run(named: readonly string[], flags: TypesFlags): Promise<void> {
  const output = openOutput(flags);
  const found = await namedSpecs("types", named);
  // A config's specs are for other commands, too.
  const specs = named.length > 0 ? found : found.filter(isImportable);
  const other = specs.find((spec) => !isImportable(spec));
  if (other !== undefined)
    throw wrongUsage(
      `${other}: \`mtac types\` is for .mta files`,
      isTypeScript(other)
        ? "a spec in TypeScript cannot be imported as a module of launchers: use `mtac compile`"
        : "build steps know specs by their ending: call it spec.mta",
    );
  const results: DeclaredSpec[] = [];
  for (const spec of specs) results.push(await declareSpec(spec, flags, output));
  output.result(results);
  const broken = results.some(({ diagnostics }) => diagnostics.some(({ severity }) => severity === "error"));
  if (broken || (flags.check === true && results.some(({ changed }) => changed))) throw new Finished(1);
}

async function declareSpec(path: string, flags: TypesFlags, output: Output): Promise<DeclaredSpec> {
  const file = declarationsFile(path, await formFor(path, flags));
  const { spec, diagnostics, source } = await analyseSpecFile(path);
  printDiagnostics(diagnostics, { file: path, source }, output);
  if (spec === null) return { spec: path, file, changed: false, diagnostics };
  // `--help` does without the emitters.
  const { declareChecked } = await import("../../compile/declare.ts");
  const text = declareChecked(spec, flags.target, flags.grad);
  const { style } = output;
  const changed = flags.check === true ? !holds(file, text) : writeDeclarations(file, path, text);
  if (!changed) output.text(style.dim(`✓ ${inLine(file)} (unchanged)`));
  else if (flags.check === true) output.text(`${style.yellow("✗")} ${inLine(file)} is not up to date`);
  else output.text(`${style.green("✓")} ${inLine(file)}`);
  return { spec: path, file, changed, diagnostics };
}

/** What the flag says, else what the spec's project has a build write. */
async function formFor(spec: string, flags: TypesFlags): Promise<DeclarationsForm> {
  if (flags.arbitraryExtensions === true) return "arbitrary-extensions";
  const { config } = await loadConfig(dirname(spec));
  return config.types === "arbitrary-extensions" ? config.types : "bundler";
}
