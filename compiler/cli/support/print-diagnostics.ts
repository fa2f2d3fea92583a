import { type Diagnostic, renderDiagnostic } from "../../language/index.ts";
import type { Output } from "./output.ts";

/** Diagnostics with code frames, on stderr. */
export function printDiagnostics(
  diagnostics: readonly Diagnostic[],
  { file, source }: { readonly file: string; readonly source: string },
  output: Output,
): void {
  const color = output.noteStyle.colour;
  for (const each of diagnostics) {
    // A spec in TypeScript may call the builder from other files.
    const text = each.file === file ? source : null;
    output.note(`${renderDiagnostic(each, { source: text, color })}\n`);
  }
}
