import { fill, h } from "../dom.ts";

/** Tabs as WAI-ARIA's authoring practices have them: arrows, Home and End move, what has the focus is shown. */

export interface Tab {
  readonly id: string;
  readonly label: string;
  readonly title?: string;
}

export interface Tabs {
  readonly list: HTMLElement;
  /**
   * Replaces the tabs; the one chosen stays if it is still there, else one is chosen.
   * @param preferred which one; the first if not given
   */
  set(tabs: readonly Tab[], preferred?: string): void;
  /** Chooses a tab, as a click does. */
  choose(id: string): void;
  chosen(): string | null;
}

export interface TabsParts {
  readonly label: string;
  readonly className: string;
  /** The element that shows what is chosen, named by its tab. */
  readonly panelOf: (id: string) => HTMLElement;
  readonly chose: (id: string) => void;
}

let made = 0;

export function createTabs(parts: TabsParts): Tabs {
  const prefix = `tabs-${++made}`;
  const list = h("div", { role: "tablist", "aria-label": parts.label, class: parts.className });
  const buttons = new Map<string, HTMLButtonElement>();
  let current: string | null = null;

  const choose = (id: string): void => {
    if (!buttons.has(id)) return;
    current = id;
    for (const [each, element] of buttons) {
      const selected = each === id;
      element.setAttribute("aria-selected", String(selected));
      element.tabIndex = selected ? 0 : -1;
    }
    const panel = parts.panelOf(id);
    panel.setAttribute("role", "tabpanel");
    const button = buttons.get(id);
    if (button !== undefined) panel.setAttribute("aria-labelledby", button.id);
    parts.chose(id);
  };

  const makeButton = ({ id, label, title }: Tab): HTMLButtonElement => {
    const panel = parts.panelOf(id);
    panel.id ||= `${prefix}-panel-${id}`;
    const element = h(
      "button",
      {
        type: "button",
        role: "tab",
        id: `${prefix}-${id}`,
        "aria-controls": panel.id,
        "aria-selected": "false",
        tabindex: -1,
        "data-tab": id,
        ...(title === undefined ? {} : { title }),
      },
      label,
    );
    element.addEventListener("click", () => choose(id));
    return element;
  };

  list.addEventListener("keydown", (event) => {
    const ids = [...buttons.keys()];
    const at = current === null ? -1 : ids.indexOf(current);
    const next = nextTab(event.key, at, ids.length);
    const id = next === null ? undefined : ids[next];
    if (id === undefined) return;
    event.preventDefault();
    choose(id);
    buttons.get(id)?.focus();
  });

  return {
    list,
    set: (tabs, preferred) => {
      const same = tabs.length === buttons.size && tabs.every(({ id }) => buttons.has(id));
      if (same) {
        // The focus may be on one of them.
        for (const { id, title = "" } of tabs) buttons.get(id)?.setAttribute("title", title);
        return;
      }
      buttons.clear();
      for (const tab of tabs) buttons.set(tab.id, makeButton(tab));
      fill(list, ...buttons.values());
      const [first] = tabs;
      const kept = current !== null && buttons.has(current) ? current : (preferred ?? first?.id);
      if (kept !== undefined) choose(kept);
    },
    choose,
    chosen: () => current,
  };
}

function nextTab(key: string, at: number, count: number): number | null {
  switch (key) {
    case "ArrowRight":
    case "ArrowDown":
      return (at + 1) % count;
    case "ArrowLeft":
    case "ArrowUp":
      return (at + count - 1) % count;
    case "Home":
      return 0;
    case "End":
      return count - 1;
    default:
      return null;
  }
}
