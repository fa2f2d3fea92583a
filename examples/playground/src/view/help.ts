import { button, h } from "../dom.ts";

const SHORTCUTS: readonly (readonly [keys: string, what: string])[] = [
  ["Ctrl+Enter", "run the spec"],
  ["Shift+Alt+F", "format the spec"],
  ["Ctrl+Space", "what may stand here"],
  ["F8", "the next problem"],
  ["F6", "from the editor to the results, and back"],
  ["Tab", "leave the editor: it moves on, as everywhere"],
  ["← →  Home  End", "from tab to tab"],
  ["← ↑ → ↓", "on a map: read its values, eight steps at once with Shift"],
  ["?", "this list"],
];

/** What the keys do. On a Mac, Ctrl is ⌘. */
export function createHelp(): HTMLDialogElement {
  const dialog = h(
    "dialog",
    { class: "help", "aria-labelledby": "help-title" },
    h("h2", { id: "help-title" }, "Keys"),
    h("dl", {}, ...SHORTCUTS.flatMap(([keys, what]) => [h("dt", {}, h("kbd", {}, keys)), h("dd", {}, what)])),
    h(
      "p",
      { class: "muted" },
      "On a Mac, Ctrl is ⌘. Everything happens in this page: the spec leaves it only in links that you share.",
    ),
    button({ class: "primary" }, () => dialog.close(), "Close"),
  );
  // A click beside the dialog falls on itself.
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  return dialog;
}
