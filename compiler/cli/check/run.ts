import type { Diagnostic } from "../../language/diagnostics.ts";
import { docsPage } from "../../package.ts";
import { plural } from "../../report/units.ts";
import { type Output, openOutput } from "../../terminal/output.ts";
import { Finished } from "../failure.ts";
import { analyseSpecFile, namedSpecs, printDiagnostics } from "../specs/spec-file.ts";
import type { CheckFlags } from "./command.ts";

/** `mtac check`: the diagnostics of every file, and exit code 1 if one is an error. */
export async function run(named: readonly string[], flags: CheckFlags): Promise<void> {
  const output = openOutput(flags);
  const files = await namedSpecs("check", named);
  const all: Diagnostic[] = [];
  for (const file of files) {
    const { diagnostics, source } = await analyseSpecFile(file);
    printDiagnostics(diagnostics, { file, source }, output);
    // One by one: as arguments of one call, hundreds of thousands would not fit the stack.
    for (const each of diagnostics) all.push(each);
  }
  output.result(all);
  const errors = all.filter(({ severity }) => severity === "error").length;
  const warnings = all.length - errors;
  output.text(summary(files.length, errors, warnings, output));
  const page = docsPage(errors > 0 ? "errors" : "language");
  if (page !== null)
    output.text(output.style.dim(errors > 0 ? `what each code means: ${page}` : `the language: ${page}`));
  if (errors > 0) throw new Finished(1);
}

function summary(files: number, errors: number, warnings: number, { style }: Output): string {
  const warned = warnings === 0 ? "" : `, ${style.yellow(plural(warnings, "warning"))}`;
  if (errors === 0) return `${style.green("✓")} ${plural(files, "file")} without errors${warned}`;
  return `${style.red(plural(errors, "error"))}${warned} in ${plural(files, "file")}`;
}
