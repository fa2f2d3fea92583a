import type { Diagnostic } from "../../../../compiler/language/index.ts";
import { plural } from "../../../../compiler/report/units.ts";
import { button, fill, h } from "../dom.ts";
import { describeFinding } from "../editor/diagnostics.ts";
import type { Follow } from "./parts.ts";

export interface Problems {
  readonly element: HTMLElement;
  show(diagnostics: readonly Diagnostic[]): void;
}

/** Every error and warning of the spec, with its place. */
export function createProblems(follow: Follow): Problems {
  const count = h("div", { class: "problems-count", role: "status" });
  const list = h("ol", { class: "problems-list" });
  return {
    element: h("section", { class: "problems", "aria-label": "problems" }, count, list),
    show: (diagnostics) => {
      const errors = diagnostics.filter(({ severity }) => severity === "error").length;
      const warnings = diagnostics.length - errors;
      const said = [
        ...(errors > 0 ? [plural(errors, "error")] : []),
        ...(warnings > 0 ? [plural(warnings, "warning")] : []),
      ];
      fill(
        count,
        h("span", {
          class: `dot ${errors > 0 ? "dot-error" : warnings > 0 ? "dot-warning" : "dot-fine"}`,
          "aria-hidden": "true",
        }),
        said.length === 0 ? "No problems" : said.join(", "),
      );
      list.hidden = diagnostics.length === 0;
      fill(list, ...diagnostics.map((finding) => h("li", {}, item(finding, follow))));
    },
  };
}

function item(finding: Diagnostic, follow: Follow): HTMLElement {
  const { span, severity } = finding;
  return button(
    { class: `problem problem-${severity}` },
    () => follow(span.line, span.column),
    h("span", { class: "problem-place" }, `${span.line}:${span.column}`),
    describeFinding(finding),
  );
}
