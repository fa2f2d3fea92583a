import { describeMask, describeStage } from "../../../../compiler/report/describe.ts";
import type { Pipeline } from "../../../../runtime/contract/index.ts";
import { checkbox, field, fill, h, select, setOptions } from "../dom.ts";
import { type MapSettings, RANGES } from "../state/settings.ts";
import {
  MAP_BATCH,
  type MapsReply,
  type NumericMethods,
  type RowGradients,
  type StageMap,
} from "../worker/protocol.ts";
import { type Problem, problemOf, type WorkerClient } from "../worker/rpc.ts";
import { createMapFigure, type MapFigure, type Place } from "./map-figure.ts";
import { notice, section, segmented } from "./parts.ts";
import { numberInput } from "./run-form.ts";

export interface MapsParts {
  readonly numeric: WorkerClient<NumericMethods>;
  readonly settings: () => MapSettings;
  readonly change: (settings: MapSettings) => void;
}

/** Entries of all heads' maps together: more would not fit into the memory of a phone. */
const MOST_ENTRIES = 24_000_000;

/** One head's attention maps, before and after each stage. */
export class MapsView {
  readonly element: HTMLElement;
  readonly #parts: MapsParts;
  readonly #readout = h("p", { class: "readout", role: "status" });
  readonly #gallery = h("div", { class: "maps" });
  readonly #trouble = h("div");
  readonly #controls: Controls;
  #pipeline: Pipeline | null = null;
  #shown = false;
  /** What is drawn, or being computed. */
  #request = "";

  constructor(parts: MapsParts) {
    this.#parts = parts;
    this.#controls = createControls(parts, () => void this.#draw());
    this.element = h(
      "div",
      { class: "view" },
      section(
        "Attention maps",
        "one head, from the float64 reference; point at a map, or use the arrow keys on one",
        this.#controls.element,
        this.#readout,
        this.#trouble,
        this.#gallery,
      ),
    );
  }

  subject(pipeline: Pipeline): void {
    this.#pipeline = pipeline;
    void this.#draw();
  }

  /** Shows the settings anew: they came from elsewhere. */
  refresh(): void {
    this.#controls.refresh();
    void this.#draw();
  }

  /** Computes nothing while it is not seen. */
  visible(shown: boolean): void {
    this.#shown = shown;
    void this.#draw();
  }

  async #draw(): Promise<void> {
    const pipeline = this.#pipeline;
    if (pipeline === null || !this.#shown) return;
    this.#controls.heads(pipeline.heads);
    const settings = this.#parts.settings();
    const request = { pipeline, ...settings, head: Math.min(settings.head, pipeline.heads - 1) };
    const key = JSON.stringify(request);
    if (key === this.#request) return;
    this.#request = key;
    const kinds = settings.gradients ? 2 : 1;
    if (kinds * mapsIn(pipeline) * MAP_BATCH * pipeline.heads * settings.length ** 2 > MOST_ENTRIES) {
      this.#fail(TOO_MANY);
      return;
    }
    this.#gallery.setAttribute("aria-busy", "true");
    try {
      const reply = await this.#parts.numeric.call("maps", request);
      if (key !== this.#request) return;
      fill(this.#trouble);
      showMaps(this.#gallery, this.#readout, pipeline, reply);
    } catch (error) {
      if (key === this.#request) this.#fail(problemOf(error));
    } finally {
      if (key === this.#request) this.#gallery.setAttribute("aria-busy", "false");
    }
  }

  #fail(problem: Problem): void {
    fill(this.#gallery);
    // What was asked for before may still be computed, and is not wanted any more.
    this.#gallery.setAttribute("aria-busy", "false");
    fill(this.#readout);
    fill(this.#trouble, notice("error", problem));
  }
}

const TOO_MANY: Problem = {
  code: null,
  message: "The maps of so many heads at that length do not fit: choose a smaller length.",
  remedy: null,
};

function mapsIn({ scores, weights }: Pipeline): number {
  return 2 + scores.length + weights.length;
}

interface Controls {
  readonly element: HTMLElement;
  heads(count: number): void;
  refresh(): void;
}

function createControls(parts: MapsParts, changed: () => void): Controls {
  const { settings } = parts;
  const change = (next: Partial<MapSettings>): void => {
    parts.change({ ...settings(), ...next });
    changed();
  };
  const length = numberInput(RANGES.mapLength, (value) => change({ length: value }));
  const seed = numberInput(RANGES.seed, (value) => change({ seed: value }));
  const gradients = checkbox((value) => change({ gradients: value }));
  const head = select({}, [], (value) => change({ head: Number(value) }));
  const batches = Array.from({ length: MAP_BATCH }, (_, index) => numbered(index));
  const batch = select({}, batches, (value) => change({ batch: Number(value) }));
  const place = h("div");
  const refresh = (): void => {
    const now = settings();
    length.value = String(now.length);
    seed.value = String(now.seed);
    batch.value = String(now.batch);
    head.value = String(now.head);
    gradients.checked = now.gradients;
    fill(
      place,
      segmented(
        "Parameters",
        [
          { value: "random", label: "random" },
          { value: "init", label: "as init says" },
        ],
        now.parameters,
        (value) => change({ parameters: value === "init" ? "init" : "random" }),
      ),
    );
  };
  refresh();
  return {
    element: h(
      "div",
      { class: "fields" },
      field("Head", head),
      field("Batch entry", batch),
      field("Length", length),
      field("Seed", seed),
      place,
      field("Gradients", gradients),
    ),
    heads: (count) => {
      if (head.options.length !== count)
        setOptions(
          head,
          Array.from({ length: count }, (_, index) => numbered(index)),
        );
      head.value = String(Math.min(settings().head, count - 1));
    },
    refresh,
  };
}

function numbered(index: number): { value: string; label: string } {
  return { value: String(index), label: String(index) };
}

function showMaps(
  gallery: HTMLElement,
  readout: HTMLElement,
  pipeline: Pipeline,
  { maps, length, visible, gradients }: MapsReply,
): void {
  const figures: MapFigure[] = [];
  const say = (words: string | null): void => {
    fill(readout, words ?? (gradients === null ? HINT : `${HINT} ${GRADIENT_HINT}`));
  };
  const point = (place: Place | null): void => {
    for (const figure of figures) figure.point(place);
    const seen = place !== null && visible[place.row * length + place.key] === 1;
    say(place === null ? null : `row ${place.row}, key ${place.key}${seen ? "" : ": masked"}`);
  };
  const show = (map: StageMap, number: number | null, remark: string, weights: boolean): HTMLElement => {
    const figure = createMapFigure({
      ...map,
      number,
      remark,
      columns: length,
      across: "keys",
      visible,
      weights,
      point,
    });
    figures.push(figure);
    return figure.element;
  };
  let weights = false;
  const elements = maps.map((map, index) => {
    weights ||= map.name === pipeline.normalize;
    const element = show(map, index + 1, remarkOn(pipeline, map.name), weights);
    const gradient = gradients?.maps[index];
    if (gradient === undefined) return element;
    const beside = show({ ...gradient, name: `d_${gradient.name}` }, null, "its gradient", false);
    return h("div", { class: "map-pair" }, element, beside);
  });
  gallery.classList.toggle("maps-paired", gradients !== null);
  fill(gallery, ...elements, ...(gradients?.rows ?? []).map((rows) => showRows(rows, say)));
  point(null);
}

const HINT = "Each square is a row (query) and a column (key). Hatched entries are masked.";
const GRADIENT_HINT = "Gradients are those of Σ o·dO, for a random dO.";

/** The gradient of q, k or v, which has marks of its own: its columns are channels. */
function showRows(
  { name, values, channels }: RowGradients,
  say: (words: string | null) => void,
): HTMLElement {
  const figure = createMapFigure({
    number: null,
    name,
    remark: name === "d_q" ? "queries by channels" : "keys by channels",
    columns: channels,
    across: "channels",
    values,
    visible: new Uint8Array(values.length).fill(1),
    weights: false,
    point: (place) => {
      figure.point(place);
      const row = name === "d_q" ? "row" : "key";
      say(place === null ? null : `${name}: ${row} ${place.row}, channel ${place.key}`);
    },
  });
  figure.point(null);
  return figure.element;
}

function remarkOn(pipeline: Pipeline, name: string): string {
  if (name === "scores") return "scale · q·kᵀ";
  if (name === pipeline.normalize) return `each row over its visible keys: ${describeMask(pipeline.mask)}`;
  const stage = [...pipeline.scores, ...pipeline.weights].find((each) => each.name === name);
  return stage === undefined ? "" : describeStage(stage);
}
