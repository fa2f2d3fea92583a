import { relative, resolve } from "node:path";
import { readUtf8 } from "../../files/text.ts";
import type { CheckedSpec } from "../../language/attention.ts";
import type { Diagnostic } from "../../language/diagnostics.ts";
import { analyse, analyseBuilt, renderDiagnostic } from "../../language/index.ts";
import { plural } from "../../report/units.ts";
import type { Output } from "../../terminal/output.ts";
import { badTypeScriptSpec, specNeeded } from "../errors.ts";
import { Finished } from "../failure.ts";

/** A spec as far as it could be understood. */
export interface AnalysedSpec {
  /** null when there are errors. */
  readonly spec: CheckedSpec | null;
  readonly diagnostics: readonly Diagnostic[];
  /** The file's text, for code frames. */
  readonly source: string;
}

export function isTypeScript(path: string): boolean {
  return /\.[cm]?[tj]s$/.test(path);
}

/** @throws MtacError MTA905, MTA907, MTA908 */
export async function analyseSpecFile(path: string): Promise<AnalysedSpec> {
  if (isTypeScript(path)) {
    const { loadTypeScriptModule } = await import("../../files/typescript-module.ts");
    const { spec, diagnostics } = analyseBuilt(await loadTypeScriptModule(path, badTypeScriptSpec), path);
    const absolute = resolve(path);
    // Stack traces, where the places come from, give whole paths.
    const renamed = diagnostics.map((each) => (each.file === absolute ? { ...each, file: path } : each));
    return { spec, diagnostics: renamed, source: readUtf8(path) };
  }
  const source = readUtf8(path);
  return { ...analyse(source, path), source };
}

/**
 * A spec without errors; its warnings are printed. Where there are errors, they are printed, and the command is over.
 * @throws Finished, MtacError as `analyseSpecFile`
 */
export async function readSpec(path: string, output: Output): Promise<CheckedSpec> {
  const { spec, diagnostics, source } = await analyseSpecFile(path);
  printDiagnostics(diagnostics, { file: path, source }, output);
  if (spec !== null) return spec;
  output.result({
    error: { code: "spec", kind: "input", message: `${path} has errors`, remedy: null },
    diagnostics,
  });
  throw new Finished(1);
}

/**
 * The specs that a command takes: those named, else those of the project's config.
 * @throws MtacError MTA927 where there are none; those of `loadConfig`.
 */
export async function namedSpecs(command: string, files: readonly string[]): Promise<readonly string[]> {
  if (files.length > 0) return files;
  const { loadConfig } = await import("../../config/load.ts");
  const { file, config } = await loadConfig(".");
  const { specs = [] } = config;
  if (specs.length === 0) throw specNeeded(command, file);
  return specs.map((spec) => relative(".", spec));
}

/** Nobody reads more; `--json` gives all. */
const MOST_SHOWN = 100;

/** Diagnostics with code frames, on stderr: the first of them, where there are very many. */
export function printDiagnostics(
  diagnostics: readonly Diagnostic[],
  { file, source }: { readonly file: string; readonly source: string },
  output: Output,
): void {
  const color = output.noteStyle.colour;
  for (const each of diagnostics.slice(0, MOST_SHOWN)) {
    // A spec in TypeScript may call the builder from other files.
    const text = each.file === file ? source : null;
    output.note(`${renderDiagnostic(each, { source: text, color })}\n`);
  }
  const more = diagnostics.length - MOST_SHOWN;
  if (more > 0) output.note(`${plural(more, "more message")} of ${file}: mend these first\n`);
}
