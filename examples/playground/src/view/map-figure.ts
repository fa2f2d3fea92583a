import { h } from "../dom.ts";
import { rangeOf } from "../maps/colour.ts";
import { drawLegend, drawMap } from "../maps/picture.ts";

/** An entry of a map. */
export interface Place {
  readonly row: number;
  readonly key: number;
}

export interface MapFigure {
  readonly element: HTMLElement;
  /** Marks an entry and says its value; null marks none. */
  point(place: Place | null): void;
}

interface MapFigureParts {
  /** Its place in the pipeline; null for what is none of the pipeline's maps. */
  readonly number: number | null;
  readonly name: string;
  readonly remark: string;
  readonly columns: number;
  /** What columns are: keys, channels. */
  readonly across: string;
  /** [rows, columns], row-major. */
  readonly values: Float64Array;
  readonly visible: Uint8Array;
  /** It comes from the normaliser or later. */
  readonly weights: boolean;
  /** The visitor points at an entry, or no longer: all figures of a gallery then show it. */
  readonly point: (place: Place | null) => void;
}

/** One map as a picture, with its scale and the value that is pointed at. */
export function createMapFigure(parts: MapFigureParts): MapFigure {
  const { number, name, remark, columns, across, values, visible, weights } = parts;
  const rows = values.length / columns;
  const range = rangeOf(values, visible, weights);
  const below = range.clipped && range.scale === "diverging";
  const canvas = h("canvas", { class: "map-canvas", "data-map": name });
  drawMap(canvas, columns, values, visible, range);
  const legend = h("canvas", { class: "legend-canvas", "aria-hidden": "true" });
  drawLegend(legend, range);
  const rowMark = h("span", { class: "mark mark-row" });
  const keyMark = h("span", { class: "mark mark-key" });
  const value = h("output", { class: "map-value" });
  const frame = h(
    "div",
    {
      class: "map-frame",
      tabindex: 0,
      role: "application",
      "aria-roledescription": "map",
      "aria-label": `map ${name}: ${rows} rows by ${columns} ${across}; arrow keys read its values`,
    },
    canvas,
    rowMark,
    keyMark,
  );
  let at: Place | null = null;
  listen(frame, { rows, columns }, () => at, parts.point);
  return {
    element: h(
      "figure",
      { class: "map" },
      h(
        "figcaption",
        {},
        number === null ? null : h("span", { class: "map-number" }, number),
        h("span", { class: "map-name" }, name),
        h("span", { class: "map-remark" }, remark),
      ),
      frame,
      h(
        "div",
        { class: "legend" },
        h("span", {}, `${below ? "≤ " : ""}${shorten(range.least)}`),
        legend,
        h("span", {}, `${range.clipped ? "≥ " : ""}${shorten(range.most)}`),
        value,
      ),
    ),
    point: (place) => {
      at = place;
      rowMark.hidden = place === null;
      keyMark.hidden = place === null;
      value.textContent = "";
      if (place === null) return;
      Object.assign(rowMark.style, { top: `${(100 * place.row) / rows}%`, height: `${100 / rows}%` });
      Object.assign(keyMark.style, { left: `${(100 * place.key) / columns}%`, width: `${100 / columns}%` });
      const index = place.row * columns + place.key;
      value.textContent = visible[index] === 1 ? shorten(values[index] ?? Number.NaN) : "masked";
    },
  };
}

function listen(
  frame: HTMLElement,
  { rows, columns }: { readonly rows: number; readonly columns: number },
  current: () => Place | null,
  point: (place: Place | null) => void,
): void {
  const clamp = (value: number, count: number): number => Math.min(count - 1, Math.max(0, value));
  const placeOf = ({ clientX, clientY }: PointerEvent): Place => {
    const { left, top, width, height } = frame.getBoundingClientRect();
    return {
      row: clamp(Math.floor(((clientY - top) / height) * rows), rows),
      key: clamp(Math.floor(((clientX - left) / width) * columns), columns),
    };
  };
  frame.addEventListener("pointermove", (event) => point(placeOf(event)));
  frame.addEventListener("pointerdown", (event) => point(placeOf(event)));
  frame.addEventListener("pointerleave", () => point(null));
  frame.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    if (event.key === "Escape") point(null);
    if (step === undefined) return;
    event.preventDefault();
    const far = event.shiftKey ? 8 : 1;
    const { row, key } = current() ?? { row: 0, key: 0 };
    const moved = current() === null ? { row, key } : { row: row + far * step[0], key: key + far * step[1] };
    point({ row: clamp(moved.row, rows), key: clamp(moved.key, columns) });
  });
}

const STEPS: Readonly<Record<string, readonly [rows: number, keys: number]>> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
};

/** Four significant digits. */
function shorten(value: number): string {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  return size >= 1e-3 && size < 1e5 ? String(Number(value.toPrecision(4))) : value.toExponential(2);
}
