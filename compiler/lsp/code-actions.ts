import { type CodeAction, CodeActionKind } from "vscode-languageserver-types";
import { toDiagnostic } from "./diagnostics.ts";
import { rangeOf, type SpecDocument } from "./spec-document.ts";

/**
 * The fixes that an editor can apply to what is wrong between two offsets.
 * @param only the kinds wanted, for example `quickfix`; null for all
 */
export function codeActionsIn(
  spec: SpecDocument,
  start: number,
  end: number,
  only: readonly string[] | null,
): CodeAction[] {
  if (only !== null && !only.some((kind) => isKindOf(CodeActionKind.QuickFix, kind))) return [];
  return spec.analysis.diagnostics.flatMap((finding) => {
    const { fix, span } = finding;
    if (fix?.replacement === undefined || fix.span === undefined) return [];
    if (span.end < start || span.start > end) return [];
    const edit = { range: rangeOf(spec, fix.span), newText: fix.replacement };
    return [
      {
        title: titleOf(fix.message, fix.replacement),
        kind: CodeActionKind.QuickFix,
        diagnostics: [toDiagnostic(spec, finding)],
        isPreferred: true,
        edit: { changes: { [spec.text.uri]: [edit] } },
      },
    ];
  });
}

/** "did you mean `heads`?" becomes what the action does. */
function titleOf(message: string, replacement: string): string {
  if (message.startsWith("did you mean")) return `Change to \`${replacement}\``;
  return message.slice(0, 1).toUpperCase() + message.slice(1);
}

/** `quickfix.spelling` is a kind of `quickfix`; the empty kind holds all. */
function isKindOf(kind: string, wanted: string): boolean {
  return wanted === "" || kind === wanted || kind.startsWith(`${wanted}.`);
}
