import { type Diagnostic, renderDiagnostic } from "../../language/index.ts";
import { plural } from "../../report/units.ts";
import type { Output } from "../../terminal/output.ts";

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
