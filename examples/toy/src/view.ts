import type { AutoDevice } from "mtac/runtime/auto";
import { button, field, fill, h, select } from "../../playground/src/dom.ts";
import { createMapFigure, type MapFigure, type Place } from "../../playground/src/view/map-figure.ts";
import { SHAPE } from "./decoder.ts";
import type { Answer, Finder, Kind } from "./finder.ts";
import { drawSample, labelOf, parseSample, type Sample, TextError } from "./text.ts";

const TITLES: Readonly<Record<Kind, string>> = {
  mta: "Multi-token attention",
  plain: "Plain attention",
};

/** What each map is, by the stage that made it. */
const STAGES: Readonly<Record<string, string>> = {
  scores: "one query, one key: a row finds single letters",
  "scores.conv": "two queries and nine keys at once: it finds both letters together",
  softmax: "the weights of the values",
};

interface Shown {
  readonly finder: Finder;
  readonly answer: Answer;
}

/** The page: a text, and for each model what it finds and how it looks. */
export class Page {
  readonly element: HTMLElement;
  readonly #input = h("input", { type: "text", class: "text", "aria-label": "Blocks and question" });
  readonly #trouble = h("p", { class: "trouble", role: "alert" });
  readonly #device = h("p", { class: "remark" }, "Loading two models…");
  readonly #models = h("div", { class: "models", "aria-live": "polite" });
  readonly #layer = choice(SHAPE.layers, () => this.#draw());
  readonly #head = choice(SHAPE.heads, () => this.#draw());
  #finders: readonly Finder[] = [];
  /** The text that was answered last, and the answers. */
  #answered: { readonly sample: Sample; readonly shown: readonly Shown[] } | null = null;
  /** Counts the texts: an answer to one before is not shown. */
  #texts = 0;

  constructor() {
    const another = button({ class: "quiet" }, () => void this.#find(drawSample()), "Draw another");
    this.#input.addEventListener("input", () => void this.#find(this.#input.value));
    this.#layer.value = String(SHAPE.layers - 1);
    this.element = h(
      "main",
      { id: "app" },
      h("h1", {}, "Find the block"),
      h(
        "p",
        { class: "lead" },
        "Eight blocks of five letters, and two letters of one of them: which block is it? Two small language models read the text and write that block. They were trained alike, on the toy task of ",
        link("https://arxiv.org/abs/2504.00927", "Multi-Token Attention"),
        ", and differ in one line: ",
        h("code", {}, "scores { conv 3x9 }"),
        ". Their attentions run on kernels that mtac emitted.",
      ),
      h("div", { class: "fields" }, field("Blocks, #, two letters of one block", this.#input), another),
      this.#trouble,
      h("div", { class: "fields" }, field("Maps of layer", this.#layer), field("and head", this.#head)),
      this.#models,
      this.#device,
    );
  }

  /** Shows the models' answers to a first text. */
  async start(device: AutoDevice, finders: readonly Finder[], text: string): Promise<void> {
    this.#finders = finders;
    const why = device.reason === null ? "" : ` (not WebGPU: ${device.reason})`;
    this.#device.textContent = `On ${device.description}${why}.`;
    await this.#find(text);
  }

  fail(error: unknown): void {
    this.#trouble.textContent = error instanceof Error ? error.message : String(error);
  }

  async #find(text: string): Promise<void> {
    const own = ++this.#texts;
    if (this.#input.value !== text) this.#input.value = text;
    try {
      const sample = parseSample(text);
      this.#trouble.textContent = "";
      const shown: Shown[] = [];
      for (const finder of this.#finders)
        shown.push({ finder, answer: await finder.answer(text.trim().toLowerCase()) });
      if (own !== this.#texts) return;
      this.#answered = { sample, shown };
      this.#draw();
    } catch (error) {
      if (own !== this.#texts) return;
      this.fail(error);
      this.#input.setAttribute("aria-invalid", String(error instanceof TextError));
      return;
    }
    this.#input.removeAttribute("aria-invalid");
  }

  #draw(): void {
    if (this.#answered === null) return;
    const { sample, shown } = this.#answered;
    const chosen = { layer: Number(this.#layer.value), head: Number(this.#head.value) };
    fill(this.#models, ...shown.map((each) => modelOf(each, sample, chosen)));
  }
}

function choice(count: number, act: () => void): HTMLSelectElement {
  return select(
    {},
    Array.from({ length: count }, (_, index) => ({ value: String(index), label: String(index + 1) })),
    act,
  );
}

function link(address: string, text: string): HTMLAnchorElement {
  const element = h("a", { rel: "noreferrer" }, text);
  element.href = address;
  return element;
}

function modelOf(
  { finder, answer }: Shown,
  sample: Sample,
  { layer, head }: { readonly layer: number; readonly head: number },
): HTMLElement {
  const found = sample.blocks.indexOf(answer.letters);
  const right = sample.targets.includes(found);
  const maps = finder.maps(answer, layer, head);
  const strip = h("p", {
    class: "strip",
    "aria-label": "The text; letters that the row looks at are marked",
  });
  const readout = h("p", { class: "remark readout" });
  const figures: MapFigure[] = [];
  const size = answer.labels.length;
  const visible = Uint8Array.from({ length: size * size }, (_, index) =>
    index % size <= Math.floor(index / size) ? 1 : 0,
  );
  const point = (place: Place | null): void => {
    for (const figure of figures) figure.point(place);
    const row = place?.row ?? answer.asking;
    const weights = (maps.get("softmax") ?? new Float64Array()).subarray(row * size, (row + 1) * size);
    fill(
      strip,
      ...answer.labels.map((label, key) =>
        letter(label, weights[key] ?? 0, key === row, key > answer.asking),
      ),
    );
    readout.textContent =
      place === null
        ? "What the last letter of the question looks at."
        : `What row ${row + 1}, “${answer.labels[row]}”, looks at.`;
  };
  let number = 0;
  for (const [name, values] of maps)
    figures.push(
      createMapFigure({
        number: ++number,
        name,
        remark: STAGES[name] ?? "",
        columns: size,
        across: "keys",
        values,
        visible,
        weights: name === "softmax",
        point,
      }),
    );
  point(null);
  return h(
    "section",
    { class: "model", "data-kind": finder.kind },
    h("h2", {}, TITLES[finder.kind]),
    h(
      "p",
      { class: "answer" },
      h("output", { class: right ? "right" : "wrong" }, answer.letters),
      right ? ` is block ${found + 1}: found.` : verdict(found, sample),
    ),
    strip,
    readout,
    h("div", { class: "maps" }, ...figures.map(({ element }) => element)),
    logitsOf(answer),
  );
}

function verdict(found: number, { targets, blocks, question }: Sample): string {
  const wanted = targets.map((target) => `“${blocks[target]}”`).join(" or ");
  const said = found < 0 ? " is no block at all" : ` is block ${found + 1}`;
  if (targets.length === 0) return `${said}; no block has both ${[...question].join(" and ")}.`;
  return `${said}; ${wanted} is the one.`;
}

function letter(label: string, weight: number, own: boolean, written: boolean): HTMLElement {
  const classes = ["letter", ...(own ? ["own"] : []), ...(written ? ["written"] : [])].join(" ");
  const element = h("span", { class: classes, title: `weight ${weight.toFixed(3)}` }, label);
  element.style.setProperty("--weight", `${Math.round(100 * Math.min(1, Math.abs(weight)))}%`);
  return element;
}

/** What the model says of each token, to look up. */
function logitsOf({ letters, logits }: Answer): HTMLElement {
  const { columns, data } = logits;
  const columnsHead = Array.from({ length: columns }, (_, token) =>
    h("th", { scope: "col" }, labelOf(token)),
  );
  const rows = Array.from({ length: data.length / columns }, (_, row) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, letters[row] ?? "then"),
      ...Array.from(data.subarray(row * columns, (row + 1) * columns), (value) =>
        h("td", {}, value.toFixed(5)),
      ),
    ),
  );
  return h(
    "details",
    {},
    h("summary", {}, "Logits of the answer"),
    h(
      "div",
      { class: "scroll", tabindex: 0, role: "region", "aria-label": "Logits of the answer" },
      h(
        "table",
        { class: "logits" },
        h("thead", {}, h("tr", {}, h("td"), ...columnsHead)),
        h("tbody", {}, ...rows),
      ),
    ),
  );
}
