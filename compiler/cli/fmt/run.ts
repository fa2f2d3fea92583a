import { readFileSync } from "node:fs";
import { writeAtomically } from "../../files/atomic-write.ts";
import { isPipeOrDevice } from "../../files/destination.ts";
import { decodeUtf8, readUtf8 } from "../../files/text.ts";
import type { Diagnostic } from "../../language/diagnostics.ts";
import { format } from "../../language/index.ts";
import { type Output, openOutput } from "../../terminal/output.ts";
import { inLine } from "../../terminal/style.ts";
import { wrongUsage } from "../errors.ts";
import { Finished } from "../failure.ts";
import { isTypeScript, namedSpecs, printDiagnostics } from "../specs/spec-file.ts";
import type { FmtFlags } from "./command.ts";

interface FormattedFile {
  readonly file: string;
  readonly changed: boolean;
  readonly diagnostics: readonly Diagnostic[];
}

/** `mtac fmt`: files with syntax errors are reported and left as they are. */
export async function run(named: readonly string[], flags: FmtFlags): Promise<void> {
  const output = openOutput(flags);
  const check = flags.check === true;
  const files = await namedSpecs("fmt", named);
  const results = files.map((file) => formatFile(file, { check }, output));
  output.result(results);
  const broken = results.some(({ diagnostics }) => diagnostics.some(({ severity }) => severity === "error"));
  const unformatted = check && results.some(({ changed }) => changed);
  if (broken || unformatted) throw new Finished(1);
}

/** What is no file cannot be formatted in place: the text would go to whoever reads the pipe, or wait for one for ever. */
function readSource(file: string, check: boolean): string {
  if (!check && isPipeOrDevice(file))
    throw wrongUsage(
      `${file} is no file that could be formatted in place`,
      "use `mtac fmt -`: from stdin to stdout",
    );
  return readUtf8(file);
}

function formatFile(file: string, { check }: { readonly check: boolean }, output: Output): FormattedFile {
  if (isTypeScript(file))
    throw wrongUsage(`${file}: \`mtac fmt\` formats .mta files`, "use a formatter for TypeScript");
  const name = file === "-" ? "stdin" : file;
  const source = file === "-" ? decodeUtf8(readFileSync(0), name) : readSource(file, check);
  const formatted = format(source, name);
  if ("diagnostics" in formatted) {
    const { diagnostics } = formatted;
    printDiagnostics(diagnostics, { file: name, source }, output);
    return { file, changed: false, diagnostics };
  }
  const { text } = formatted;
  const { style } = output;
  const changed = text !== source;
  if (file === "-" && !check) {
    if (!output.json) process.stdout.write(text);
  } else if (changed && check) output.text(`${style.yellow("✗")} ${inLine(file)} is not formatted`);
  else if (changed) {
    writeAtomically(file, text);
    output.text(`${style.green("✓")} ${inLine(file)}`);
  } else output.text(style.dim(`✓ ${inLine(file)} (unchanged)`));
  return { file, changed, diagnostics: [] };
}
