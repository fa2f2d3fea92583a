import {
  autocompletion,
  type Completion,
  type CompletionContext,
  type CompletionResult,
  closeBrackets,
  closeBracketsKeymap,
  completionKeymap,
  snippet,
} from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { bracketMatching, indentOnInput } from "@codemirror/language";
import { lintGutter, lintKeymap, setDiagnostics } from "@codemirror/lint";
import { EditorState } from "@codemirror/state";
import {
  drawSelection,
  EditorView,
  highlightActiveLine,
  highlightActiveLineGutter,
  hoverTooltip,
  keymap,
  lineNumbers,
  placeholder,
} from "@codemirror/view";
import type { Diagnostic } from "../../../../compiler/language/index.ts";
import type { CompletionReply, HoverReply } from "../worker/protocol.ts";
import { toEditorDiagnostic } from "./diagnostics.ts";
import { renderMarkdown } from "./markdown.ts";
import { mtaLanguage } from "./mta-language.ts";
import { STYLE_NONCE } from "./nonce.ts";
import { theme } from "./theme.ts";

/** What the editor asks of the compiler, and what it tells the page. */
export interface EditorParts {
  readonly complete: (text: string, offset: number) => Promise<readonly CompletionReply[]>;
  readonly hover: (text: string, offset: number) => Promise<HoverReply | null>;
  readonly changed: (text: string) => void;
}

/** The spec's editor. */
export interface SpecEditor {
  readonly element: HTMLElement;
  text(): string;
  /** Replaces the text: all of it at once, which one undo takes back. */
  replace(text: string): void;
  /** Shows what the compiler says of the present text. */
  show(diagnostics: readonly Diagnostic[]): void;
  /** Puts the cursor at a place, shows it and takes the focus. Both count from 1. */
  goTo(line: number, column: number): void;
  focus(): void;
}

export function createEditor(text: string, parts: EditorParts): SpecEditor {
  const view = new EditorView({
    state: EditorState.create({ doc: text, extensions: extensionsOf(parts) }),
  });
  return {
    element: view.dom,
    text: () => view.state.doc.toString(),
    replace: (next) => {
      const old = view.state.doc.toString();
      if (next === old) return;
      const head = Math.min(view.state.selection.main.head, next.length);
      view.dispatch({
        changes: { from: 0, to: old.length, insert: next },
        selection: { anchor: head },
      });
    },
    show: (diagnostics) => {
      const { length } = view.state.doc;
      view.dispatch(
        setDiagnostics(
          view.state,
          diagnostics.map((each) => toEditorDiagnostic(each, length)),
        ),
      );
    },
    goTo: (line, column) => {
      const { doc } = view.state;
      const found = doc.line(Math.min(Math.max(1, line), doc.lines));
      const at = Math.min(found.to, found.from + column - 1);
      view.dispatch({
        selection: { anchor: at },
        effects: EditorView.scrollIntoView(at, { y: "center" }),
      });
      view.focus();
    },
    focus: () => view.focus(),
  };
}

function extensionsOf({ complete, hover, changed }: EditorParts) {
  return [
    EditorView.cspNonce.of(STYLE_NONCE),
    lineNumbers(),
    lintGutter(),
    history(),
    drawSelection(),
    indentOnInput(),
    bracketMatching(),
    closeBrackets(),
    highlightActiveLine(),
    highlightActiveLineGutter(),
    placeholder("attention my_attention { heads 8  head_dim 64 }"),
    mtaLanguage,
    theme,
    autocompletion({ override: [(context) => completionsFor(context, complete)], icons: false }),
    hoverTooltip(async (view, position) => hoverFor(view.state.doc.toString(), position, hover), {
      hoverTime: 250,
    }),
    EditorView.contentAttributes.of({
      "aria-label": "Spec. Tab leaves the editor.",
      "aria-multiline": "true",
      tabindex: "0",
      autocapitalize: "off",
      autocorrect: "off",
      spellcheck: "false",
    }),
    // Tab is not bound: it leaves the editor, as it leaves every other control.
    keymap.of([
      ...closeBracketsKeymap,
      ...completionKeymap,
      ...lintKeymap,
      // Blank lines are not what Ctrl+Enter is for here: it runs the spec.
      ...defaultKeymap.filter(({ key }) => key !== "Mod-Enter"),
      ...historyKeymap,
    ]),
    EditorView.updateListener.of((update) => {
      if (update.docChanged) changed(update.state.doc.toString());
    }),
  ];
}

async function completionsFor(
  context: CompletionContext,
  complete: EditorParts["complete"],
): Promise<CompletionResult | null> {
  const begun = context.matchBefore(/[A-Za-z_][A-Za-z0-9_]*$/);
  if (begun === null && !context.explicit) return null;
  const items = await complete(context.state.doc.toString(), context.pos);
  const [first] = items;
  if (context.aborted || first === undefined) return null;
  return {
    from: first.from,
    to: Math.max(first.to, context.pos),
    options: items.map(toCompletion),
    validFor: /^[A-Za-z0-9_]*$/,
  };
}

function toCompletion(item: CompletionReply): Completion {
  return {
    label: item.label,
    type: item.kind,
    detail: item.detail,
    sortText: item.sort,
    info: () => renderMarkdown(item.documentation),
    apply: item.snippet ? snippet(item.insert) : item.insert,
  };
}

async function hoverFor(text: string, position: number, hover: EditorParts["hover"]) {
  const found = await hover(text, position);
  if (found === null) return null;
  return {
    pos: found.from,
    end: found.to,
    above: false,
    create: () => ({ dom: renderMarkdown(found.markdown) }),
  };
}
