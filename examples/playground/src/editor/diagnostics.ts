import type { Action, Diagnostic as EditorDiagnostic } from "@codemirror/lint";
import type { Diagnostic } from "../../../../compiler/language/index.ts";
import { h } from "../dom.ts";
import { renderInline } from "./markdown.ts";

/**
 * A finding of the compiler as the editor shows it: code, message, what was expected, and the fix as a button where it can be applied.
 * @param length of the text; the compiler may point just behind its end
 */
export function toEditorDiagnostic(finding: Diagnostic, length: number): EditorDiagnostic {
  const { span, severity, message, fix } = finding;
  const from = Math.min(span.start, length);
  return {
    from,
    to: Math.min(Math.max(span.end, from), length),
    severity,
    message,
    renderMessage: () => describeFinding(finding),
    actions: fix === undefined ? [] : actionsOf(fix),
  };
}

/** A finding in words. */
export function describeFinding({ code, message, expected, fix, related }: Diagnostic): HTMLElement {
  return h(
    "div",
    { class: "finding" },
    h("div", {}, h("span", { class: "finding-code" }, code), ...renderInline(message)),
    expected === undefined
      ? null
      : h("div", { class: "finding-more" }, ...renderInline(`expected: ${expected}`)),
    fix === undefined ? null : h("div", { class: "finding-more" }, ...renderInline(`fix: ${fix.message}`)),
    related === undefined
      ? null
      : h(
          "div",
          { class: "finding-more" },
          ...renderInline(`${related.message} (line ${related.span.line})`),
        ),
  );
}

function actionsOf({ message, replacement, span }: NonNullable<Diagnostic["fix"]>): Action[] {
  if (replacement === undefined || span === undefined) return [];
  return [
    {
      name: message,
      apply: (view) => {
        const { length } = view.state.doc;
        if (span.end > length) return;
        view.dispatch({ changes: { from: span.start, to: span.end, insert: replacement } });
      },
    },
  ];
}
