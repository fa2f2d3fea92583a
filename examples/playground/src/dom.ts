/**
 * Elements from plain values. Text only ever becomes text nodes, and attributes that could hold script have no way in: nothing that a
 * spec or a link says is read as markup.
 */

type AttributeName =
  | "class"
  | "id"
  | "for"
  | "type"
  | "name"
  | "title"
  | "role"
  | "tabindex"
  | "min"
  | "max"
  | "step"
  | "value"
  | "width"
  | "height"
  | "colspan"
  | "scope"
  | "hidden"
  | "disabled"
  | "checked"
  | "open"
  | "inputmode"
  | "list"
  | "rel"
  | "target"
  | `aria-${string}`
  | `data-${string}`;

/** `true` writes the bare attribute, `false` leaves it out. */
export type Attributes = Readonly<Partial<Record<AttributeName, string | number | boolean>>>;

export type Child = Node | string | number | null;

/** Makes an element. */
export function h<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null).map((child) => toNode(child)));
  return element;
}

function toNode(child: Node | string | number): Node | string {
  return typeof child === "number" ? String(child) : child;
}

/** Puts new children in the place of all that an element has. */
export function fill(element: Element, ...children: readonly Child[]): void {
  element.replaceChildren(...children.filter((child) => child !== null).map((child) => toNode(child)));
}

/** A button that does something. */
export function button(
  attributes: Attributes,
  act: (event: MouseEvent) => void,
  ...children: readonly Child[]
): HTMLButtonElement {
  const element = h("button", { type: "button", ...attributes }, ...children);
  element.addEventListener("click", act);
  return element;
}

/** A list to choose from. `act` gets the value chosen. */
export function select(
  attributes: Attributes,
  options: readonly Option[],
  act: (value: string) => void,
): HTMLSelectElement {
  const element = h("select", attributes);
  setOptions(element, options);
  element.addEventListener("change", () => act(element.value));
  return element;
}

/** A box that is ticked or not. */
export function checkbox(act: (ticked: boolean) => void): HTMLInputElement {
  const element = h("input", { type: "checkbox" });
  element.addEventListener("change", () => act(element.checked));
  return element;
}

export interface Option {
  readonly value: string;
  readonly label: string;
}

/** Replaces a list's options; the value stays where it is still there. */
export function setOptions(element: HTMLSelectElement, options: readonly Option[]): void {
  const { value } = element;
  fill(element, ...options.map((option) => h("option", { value: option.value }, option.label)));
  if (options.some((option) => option.value === value)) element.value = value;
}

/** A labelled control: the label names it and stands above it. */
export function field(label: string, control: HTMLElement, hint: string | null = null): HTMLElement {
  control.id ||= `field-${++fields}`;
  return h(
    "div",
    { class: "field" },
    h("label", { for: control.id }, label),
    control,
    hint === null ? null : h("span", { class: "hint" }, hint),
  );
}

let fields = 0;

const SVG = "http://www.w3.org/2000/svg";

/** Drawn on a grid of 16 × 16. */
const ICONS = {
  run: "M4 2.8v10.4L13 8z",
  stop: "M4 4h8v8H4z",
  link: "M6.5 9.5l3-3M7 4.5l1.2-1.2a2.8 2.8 0 0 1 4 4L11 8.5M9 11.500l-1.200 1.200a2.800 2.800 0 0 1-4-4L5 7.500",
  copy: "M5.500 5.500h7v7h-7zM3.500 10.500v-7h7",
  format: "M2.500 3.500h11M2.500 6.500h7M2.500 9.500h11M2.500 12.500h5",
  sun: "M8 5.200a2.800 2.800 0 1 1 0 5.600 2.800 2.800 0 0 1 0-5.600zM8 1v1.500M8 13.500V15M1 8h1.500M13.500 8H15M3 3l1.100 1.100M11.900 11.900L13 13M13 3l-1.100 1.100M4.100 11.900L3 13",
  help: "M5.800 6a2.200 2.200 0 1 1 3.300 1.900c-.700.400-1.100.800-1.100 1.600M8 12v.1",
  check: "M3 8.500l3.200 3.200L13 4.800",
} as const;

export type IconName = keyof typeof ICONS;

/** A sign beside a word; alone it needs a label on what holds it. */
export function icon(name: IconName): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", `icon icon-${name}`);
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}
