import { button, icon } from "../dom.ts";

type Appearance = "light" | "dark";

/** Where the choice is kept; `public/theme.js` reads it before the page is drawn. */
const STORED = "mtac-theme";

/** A button that changes between light and dark. Until it is used the page follows the system. */
export function createAppearanceButton(): HTMLButtonElement {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const current = (): Appearance => {
    const { theme } = document.documentElement.dataset;
    if (theme === "light" || theme === "dark") return theme;
    return system.matches ? "dark" : "light";
  };
  const element = button(
    { class: "quiet icon-only" },
    () => {
      const next = current() === "dark" ? "light" : "dark";
      document.documentElement.dataset["theme"] = next;
      remember(next);
      label();
    },
    icon("sun"),
  );
  const label = (): void => {
    const text = `Switch to ${current() === "dark" ? "light" : "dark"} colours`;
    element.setAttribute("aria-label", text);
    element.title = text;
  };
  system.addEventListener("change", label);
  label();
  return element;
}

function remember(appearance: Appearance): void {
  try {
    localStorage.setItem(STORED, appearance);
  } catch {
    // Where nothing may be stored, the choice lasts as long as the page.
  }
}
