import { type Diagnostic, DiagnosticSeverity } from "vscode-languageserver-types";
import type { Diagnostic as Finding, Severity } from "../language/diagnostics.ts";
import { rangeOf, type SpecDocument } from "./spec-document.ts";

const SEVERITIES: Readonly<Record<Severity, DiagnosticSeverity>> = {
  error: DiagnosticSeverity.Error,
  warning: DiagnosticSeverity.Warning,
};

/** Every error and warning of a spec, as `mtac check` reports them. */
export function diagnosticsOf(spec: SpecDocument): Diagnostic[] {
  return spec.analysis.diagnostics.map((finding) => toDiagnostic(spec, finding));
}

/** One finding for the editor: what was expected and the remedy follow the message, as on the command line. */
export function toDiagnostic(spec: SpecDocument, finding: Finding): Diagnostic {
  const { code, severity, message, expected, fix, related, span } = finding;
  const lines = [
    message,
    ...(expected === undefined ? [] : [`expected: ${expected}`]),
    ...(fix === undefined ? [] : [`fix: ${fix.message}`]),
  ];
  return {
    code,
    source: "mtac",
    severity: SEVERITIES[severity],
    message: lines.join("\n"),
    range: rangeOf(spec, span),
    ...(related === undefined
      ? {}
      : {
          relatedInformation: [
            {
              message: related.message,
              location: { uri: spec.text.uri, range: rangeOf(spec, related.span) },
            },
          ],
        }),
  };
}
