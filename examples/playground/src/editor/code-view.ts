import { defaultKeymap } from "@codemirror/commands";
import type { StreamLanguage } from "@codemirror/language";
import { Compartment, EditorState, RangeSetBuilder } from "@codemirror/state";
import {
  Decoration,
  type DecorationSet,
  drawSelection,
  EditorView,
  keymap,
  lineNumbers,
  ViewPlugin,
  type ViewUpdate,
} from "@codemirror/view";
import { SPEC_FILE } from "../worker/protocol.ts";
import { cmakeLanguage, cudaLanguage, wgslLanguage } from "./code-language.ts";
import { STYLE_NONCE } from "./nonce.ts";
import { theme } from "./theme.ts";

/** Emitted code to read: lines numbered, places in the spec to follow. */
export interface CodeView {
  readonly element: HTMLElement;
  text(): string;
  show(file: string, text: string): void;
}

/** @param follow goes to a line of the spec that the code names */
export function createCodeView(label: string, follow: (line: number) => void): CodeView {
  const language = new Compartment();
  const view = new EditorView({
    state: EditorState.create({
      extensions: [
        EditorView.cspNonce.of(STYLE_NONCE),
        lineNumbers(),
        drawSelection(),
        EditorState.readOnly.of(true),
        EditorView.contentAttributes.of({ "aria-label": label, "aria-readonly": "true", tabindex: "0" }),
        keymap.of(defaultKeymap),
        language.of([]),
        theme,
        specPlaces,
        EditorView.domEventHandlers({
          click: ({ target }) => {
            const line = target instanceof HTMLElement ? Number(target.dataset["line"]) : Number.NaN;
            if (Number.isInteger(line)) follow(line);
          },
        }),
      ],
    }),
  });
  return {
    element: view.dom,
    text: () => view.state.doc.toString(),
    show: (file, text) => {
      if (text === view.state.doc.toString()) return;
      view.dispatch({
        changes: { from: 0, to: view.state.doc.length, insert: text },
        selection: { anchor: 0 },
        effects: [language.reconfigure(languageOf(file) ?? []), EditorView.scrollIntoView(0)],
      });
    },
  };
}

function languageOf(file: string): StreamLanguage<unknown> | null {
  if (file.endsWith(".wgsl")) return wgslLanguage;
  if (file.endsWith(".cu") || file.endsWith(".h")) return cudaLanguage;
  return file.endsWith(".cmake") ? cmakeLanguage : null;
}

const PLACE = new RegExp(`${SPEC_FILE.replace(".", "\\.")}:(\\d+)`, "g");

/** Marks `spec.mta:LINE` wherever emitted code names it. */
const specPlaces = ViewPlugin.fromClass(
  class {
    decorations: DecorationSet;

    constructor(view: EditorView) {
      this.decorations = markPlaces(view);
    }

    update(update: ViewUpdate): void {
      if (update.docChanged || update.viewportChanged) this.decorations = markPlaces(update.view);
    }
  },
  { decorations: (plugin) => plugin.decorations },
);

function markPlaces(view: EditorView): DecorationSet {
  const builder = new RangeSetBuilder<Decoration>();
  for (const { from, to } of view.visibleRanges) {
    for (const match of view.state.sliceDoc(from, to).matchAll(PLACE)) {
      const start = from + match.index;
      const mark = Decoration.mark({
        class: "spec-place",
        attributes: { "data-line": match[1] ?? "", title: "show this line of the spec" },
      });
      builder.add(start, start + match[0].length, mark);
    }
  }
  return builder.finish();
}
