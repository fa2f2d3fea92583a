import type { SourceLine } from "../../../../runtime/contract/index.ts";
import { button, type Child, h } from "../dom.ts";
import { renderInline } from "../editor/markdown.ts";
import type { Problem } from "../worker/rpc.ts";

/** Pieces that several views show. */

/** A figure with its name and a word on it. */
export function tile(label: string, value: string, remark: string): HTMLElement {
  return h(
    "div",
    { class: "tile" },
    h("div", { class: "tile-label" }, label),
    h("div", { class: "tile-value" }, value),
    h("div", { class: "tile-remark" }, remark),
  );
}

/** A part of a view with a heading. */
export function section(title: string, remark: Child, ...children: readonly Child[]): HTMLElement {
  return h(
    "section",
    { class: "part" },
    h("h2", {}, title, remark === null ? null : h("span", { class: "remark" }, " ", remark)),
    ...children,
  );
}

/** A table that scrolls sideways where it is too wide, so that the page need not. */
export function table(
  label: string,
  head: readonly string[],
  rows: readonly (readonly Child[])[],
  numeric: readonly number[] = [],
): HTMLElement {
  const align = (column: number): { class?: string } => (numeric.includes(column) ? { class: "number" } : {});
  return h(
    "div",
    { class: "table-frame", tabindex: 0, role: "region", "aria-label": label },
    h(
      "table",
      {},
      h(
        "thead",
        {},
        h("tr", {}, ...head.map((cell, column) => h("th", { scope: "col", ...align(column) }, cell))),
      ),
      h(
        "tbody",
        {},
        ...rows.map((row) => h("tr", {}, ...row.map((cell, column) => h("td", align(column), cell)))),
      ),
    ),
  );
}

/** A bar as long as a share, 0 to 1, of its place. */
export function bar(share: number, kind = ""): HTMLElement {
  const inner = h("span", { class: `bar-inner ${kind}` });
  inner.style.width = `${Math.max(1, Math.min(100, share * 100))}%`;
  return h("span", { class: "bar", "aria-hidden": "true" }, inner);
}

/** Takes the reader to a line of the spec. */
export function specLink(source: SourceLine | null, follow: Follow): HTMLElement | null {
  if (source === null) return null;
  const label = `show line ${source.line} of the spec`;
  return button(
    { class: "spec-link", title: label, "aria-label": label },
    () => follow(source.line, source.column),
    `line ${source.line}`,
  );
}

export type Follow = (line: number, column?: number) => void;

/** Something that went wrong, and what to do. */
export function notice(kind: "error" | "info", { code, message, remedy }: Problem): HTMLElement {
  return h(
    "div",
    { class: `notice finding notice-${kind}`, role: kind === "error" ? "alert" : "status" },
    h("div", {}, code === null ? null : h("span", { class: "finding-code" }, code), ...renderInline(message)),
    remedy === null ? null : h("div", { class: "finding-more" }, ...renderInline(remedy)),
  );
}

/** A choice of a few, of which one holds. */
export function segmented(
  label: string,
  options: readonly { readonly value: string; readonly label: string }[],
  chosen: string,
  act: (value: string) => void,
): HTMLElement {
  const name = `choice-${++choices}`;
  return h(
    "fieldset",
    { class: "segmented" },
    h("legend", {}, label),
    h(
      "div",
      { class: "segments" },
      ...options.map((option) => {
        const input = h("input", {
          type: "radio",
          name,
          value: option.value,
          checked: option.value === chosen,
        });
        input.addEventListener("change", () => act(option.value));
        return h("label", {}, input, h("span", {}, option.label));
      }),
    ),
  );
}

let choices = 0;
