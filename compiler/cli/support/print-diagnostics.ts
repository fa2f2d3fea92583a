import { type Diagnostic, renderDiagnostics } from "../../language/index.ts";
import type { Output } from "./output.ts";

/** Diagnostics with code frames, on stderr. */
export function printDiagnostics(
  diagnostics: readonly Diagnostic[],
  source: string | null,
  output: Output,
): void {
  if (diagnostics.length === 0) return;
  output.note(`${renderDiagnostics(diagnostics, { source, color: output.noteStyle.colour })}\n`);
}
