// The playground's checks of what it computes: runs against the reference, attention maps.
import type { Page } from "playwright-core";
import { randomCall } from "../../compiler/execution/random-call.ts";
import { referenceTensors } from "../../compiler/execution/reference-results.ts";
import { colourOf, rangeOf } from "../../examples/playground/src/maps/colour.ts";
import { DEFAULTS } from "../../examples/playground/src/state/settings.ts";
import type { Pipeline } from "../../runtime/contract/index.ts";
import { isVisible, referenceForward } from "../../runtime/reference/index.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { attempt, report } from "./checks.ts";
import { difference, openSpec, type Site, SMALL, write } from "./playground-page.ts";

/** The longest that the page may be deaf while a worker computes: two cores carry browser, SwiftShader and reference here. */
const MOST_GAP_MS = 400;

export async function checkComputing(site: Site): Promise<void> {
  await attempt("run", () => checkRun(site));
  await attempt("run with gradients", () => checkGradients(site));
  await attempt("cancel", () => checkCancel(site));
  await attempt("an empty editor", () => checkEmpty(site));
  await attempt("maps", () => checkMaps(site));
  await attempt("maps of gradients", () => checkGradientMaps(site));
}

async function checkRun(site: Site): Promise<void> {
  const page = await openSpec(site, {
    spec: SMALL,
    tab: "run",
    run: { ...DEFAULTS.run, device: "webgpu", batch: 2, rows: 96, keys: 96 },
  });
  await page.waitForSelector(".device-found");
  await page.evaluate(watchGaps);
  await page.keyboard.press("Control+Enter");
  await page.waitForSelector(".verdict", { timeout: 50_000 });
  const { gap, ticks } = await page.evaluate(() => globalThis.gaps);
  report(
    "the page stays responsive in a run",
    gap < MOST_GAP_MS && ticks > 20 ? null : `${gap} ms, ${ticks} ticks`,
    `at most ${gap.toFixed(0)} ms between ${ticks} ticks`,
  );
  const errors = await readErrors(page);
  const bad = errors.filter(({ error }) => !(error > 0 && error < 5e-6));
  report(
    "run: errors of o and lse under the tolerance",
    errors.map(({ tensor }) => tensor).join() === "o,lse" && bad.length === 0 ? null : JSON.stringify(errors),
    errors.map(({ tensor, error }) => `${tensor} ${error.toExponential(1)}`).join(", "),
  );
  const verdict = await page.locator(".verdict").innerText();
  report("run: the verdict", verdict.includes("within its bound") ? null : verdict);
  const result = await page.locator(".run-outcome").innerText();
  report("run: the device is named", /swiftshader/i.test(result) ? null : result.slice(0, 80));
  await page.context().close();
}

/** Gradients are asked for with a tick: on the GPU, then on the processor. */
async function checkGradients(site: Site): Promise<void> {
  const page = await openSpec(site, {
    spec: SMALL,
    tab: "run",
    run: { ...DEFAULTS.run, device: "webgpu", rows: 40, keys: 40 },
  });
  const panel = page.locator(".panel[data-panel=run]");
  for (const device of ["webgpu", "wasm"] as const) {
    await panel.getByLabel("Device").selectOption(device);
    await page.waitForSelector(`.device-found[data-device=${device}]`);
    await panel.getByLabel("Gradients").check();
    await panel.getByRole("button", { name: "Run", exact: true }).click();
    await page.locator(".run-status", { hasText: "Finished." }).waitFor({ timeout: 50_000 });
    const errors = await readErrors(page);
    const names = errors.map(({ tensor }) => tensor);
    const bad = errors.filter(({ error }) => !(error > 0 && error < 2e-5));
    const wanted = ["d_q", "d_k", "d_v", "d_scores.conv.weight", "d_weights.conv.weight"];
    const missing = wanted.filter((name) => !names.includes(name));
    report(
      `${device}: gradients as the reference`,
      bad.length + missing.length === 0 ? null : JSON.stringify({ bad, missing }),
      `${names.length} tensors`,
    );
    const tiles = await page.locator(".run-outcome .tiles").innerText();
    report(
      `${device}: the worst error and the backward pass's time are told`,
      /worst error/i.test(tiles) && /backward/i.test(tiles) ? null : tiles,
    );
  }
  await page.context().close();
}

/** Notes the longest time between two ticks of a timer. */
function watchGaps(): void {
  const gaps = { gap: 0, ticks: 0 };
  globalThis.gaps = gaps;
  let last = performance.now();
  setInterval(() => {
    const now = performance.now();
    gaps.gap = Math.max(gaps.gap, now - last);
    gaps.ticks += 1;
    last = now;
  }, 10);
}

declare global {
  var gaps: { gap: number; ticks: number };
}

export async function readErrors(page: Page): Promise<{ tensor: string; error: number }[]> {
  return page.evaluate(() =>
    Array.from(document.querySelectorAll("[data-error]")).map((cell) => ({
      tensor: cell.closest("tr")?.querySelector("code")?.textContent ?? "",
      error: Number(cell.getAttribute("data-error")),
    })),
  );
}

async function checkCancel(site: Site): Promise<void> {
  const run = { ...DEFAULTS.run, device: "webgpu", rows: 1024, keys: 1024 } as const;
  const page = await openSpec(site, { spec: SMALL.replace("heads     2", "heads     16"), tab: "run", run });
  await page.waitForSelector(".device-found");
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.getByText("Cancelled.").waitFor({ timeout: 3000 });
  await page.waitForTimeout(500);
  const after = await page.locator(".run-status").innerText();
  report("a run is cancelled, and stays so", difference(after, "Cancelled."));
  await page.getByLabel("Query rows").fill("16");
  await page.locator(".panel[data-panel=run]").getByLabel("Keys").fill("16");
  await page.getByRole("button", { name: "Run", exact: true }).click();
  await page.waitForSelector(".verdict-fine", { timeout: 50_000 });
  report("another run follows", null);
  await page.getByLabel("Query rows").fill("8192");
  await page.locator(".panel[data-panel=run]").getByLabel("Keys").fill("8192");
  const refused = await page.getByRole("button", { name: "Run", exact: true }).isDisabled();
  report("a run that is too large is refused", refused ? null : "it may be started");
  await page.context().close();
}

const LENGTH = 24;
const HEAD = 1;
const BATCH = 1;
const MAPS = { length: LENGTH, seed: 3, parameters: "random", head: HEAD, batch: BATCH } as const;

/** One head's maps, as the reference makes them here. */
function expectedMaps(pipeline: Pipeline) {
  const shape = { B: 2, Lq: LENGTH, Lk: LENGTH, R: 0 };
  const call = randomCall(pipeline, shape, { seed: 3, layer: undefined, grad: false });
  const maps: { name: string; values: Float64Array }[] = [];
  const visible = new Uint8Array(LENGTH * LENGTH);
  const start = HEAD * LENGTH * LENGTH;
  referenceForward(pipeline, call.parameters, call.inputs, {
    trace: (name, batch, { shape: own, data }, sight) => {
      if (batch !== BATCH || own[1] !== LENGTH || own[2] !== LENGTH) return;
      maps.push({ name, values: data.slice(start, start + LENGTH * LENGTH) });
      visible.forEach((_, index) => {
        visible[index] = isVisible(sight, HEAD, Math.floor(index / LENGTH), index % LENGTH) ? 1 : 0;
      });
    },
  });
  return { maps, visible };
}

/** Where there is no attention, none runs: not even the one that was there before. */
async function checkEmpty(site: Site): Promise<void> {
  const page = await openSpec(site, { spec: SMALL, run: { ...DEFAULTS.run, rows: 16, keys: 16 } });
  await write(page, "// Nothing yet.\n");
  await page.locator(".results-state", { hasText: "no attention yet" }).waitFor();
  await page.keyboard.press("Control+Enter");
  await page.waitForTimeout(300);
  const outcome = await page.locator(".run-status").textContent();
  const state = await page.locator(".compile-state").innerText();
  report("an empty editor runs nothing", difference(`${state}/${outcome}`, "not compiled/"));
  await page.context().close();
}

async function checkMaps(site: Site): Promise<void> {
  const spec = SMALL.replace("causal", "causal window 9");
  const page = await openSpec(site, { spec, tab: "maps", maps: { ...MAPS, gradients: false } });
  await page.waitForSelector(".map-canvas");
  const pipeline = pipelineOf(spec, "small", "spec.mta");
  const { maps, visible } = expectedMaps(pipeline);
  const drawn = await drawnMaps(page);
  const names = drawn.map(({ name }) => name).join(" ");
  const wanted = "scores scores.conv scores.mix softmax weights.conv";
  report("a map before and after each stage", names === wanted ? null : names, names);
  const wrong = drawn.flatMap(({ name, pixels }, index) => {
    const map = maps[index];
    if (map === undefined || map.name !== name) return [`${name} is another map`];
    const range = rangeOf(map.values, visible, index >= 3);
    return [...map.values].flatMap((value, at) => {
      const got = pixels.slice(4 * at, 4 * at + 4);
      const colour = visible[at] === 1 ? [...colourOf(value, range), 255] : [0, 0, 0, 0];
      return got.join() === colour.join()
        ? []
        : [`${name}, entry ${at}: ${got.join()} is not ${colour.join()}`];
    });
  });
  const masked = visible.filter((bit) => bit === 0).length;
  report(
    "every entry has its value's colour, masked ones none",
    wrong[0] ?? null,
    `${drawn.length * LENGTH ** 2} entries, ${masked} masked a map`,
  );
  await checkReadout(page, maps, visible);
  const before = await pixelsOf(page, "scores.conv");
  await page.getByText("as init says").click();
  await page.waitForFunction(
    ([old, name]) => {
      const canvas = document.querySelector(`canvas[data-map="${name}"]`);
      return canvas instanceof HTMLCanvasElement && canvas.toDataURL() !== old;
    },
    [before, "scores.conv"],
  );
  // Identity convolutions change nothing.
  const same = (await pixelsOf(page, "scores.conv")) === (await pixelsOf(page, "scores"));
  report("an identity convolution leaves its map as it is", same ? null : "the maps differ");
  await page.context().close();
}

/** Gradients come with a tick, each beside its map, and those of q, k and v after them. */
async function checkGradientMaps(site: Site): Promise<void> {
  const page = await openSpec(site, { spec: SMALL, tab: "maps", maps: { ...MAPS, gradients: false } });
  await page.waitForSelector(".map-canvas");
  await page.locator(".panel[data-panel=maps]").getByLabel("Gradients").check();
  await page.waitForSelector("canvas[data-map=d_v]");
  const drawn = await drawnMaps(page);
  const names = drawn.map(({ name }) => name).join(" ");
  const maps = ["scores", "scores.conv", "scores.mix", "softmax", "weights.conv"];
  const wanted = [...maps.flatMap((name) => [name, `d_${name}`]), "d_q", "d_k", "d_v"].join(" ");
  report("a gradient beside each map", difference(names, wanted), names);
  const pipeline = pipelineOf(SMALL, "small", "spec.mta");
  const shape = { B: 2, Lq: LENGTH, Lk: LENGTH, R: 0 };
  const call = randomCall(pipeline, shape, { seed: MAPS.seed, layer: undefined, grad: true });
  const { data, shape: sizes = [] } = referenceTensors(pipeline, call).get("d_q") ?? {
    data: new Float64Array(),
  };
  const size = (sizes[2] ?? 1) * (sizes[3] ?? 1);
  const start = (BATCH * pipeline.heads + HEAD) * size;
  const values = data.slice(start, start + size);
  const range = rangeOf(values, new Uint8Array(size).fill(1), false);
  const expected = [...values].flatMap((value) => [...colourOf(value, range), 255]);
  const pixels = drawn.find(({ name }) => name === "d_q")?.pixels ?? [];
  report("d_q as the reference", difference(pixels.join(), expected.join()), `${size} entries`);
  await page.context().close();
}

/** What the page has drawn, in its order. */
async function drawnMaps(page: Page): Promise<readonly { name: string; pixels: readonly number[] }[]> {
  return page.evaluate(() =>
    Array.from(document.querySelectorAll("canvas")).flatMap((canvas) => {
      const name = canvas.dataset["map"];
      const image = canvas.getContext("2d")?.getImageData(0, 0, canvas.width, canvas.height);
      return name === undefined || image === undefined ? [] : [{ name, pixels: [...image.data] }];
    }),
  );
}

async function pixelsOf(page: Page, name: string): Promise<string> {
  return page.evaluate((wanted) => {
    const canvas = document.querySelector(`canvas[data-map="${wanted}"]`);
    return canvas instanceof HTMLCanvasElement ? canvas.toDataURL() : "";
  }, name);
}

/** Pointing and arrow keys tell the value. */
async function checkReadout(
  page: Page,
  maps: readonly { values: Float64Array }[],
  visible: Uint8Array,
): Promise<void> {
  const frame = page.locator(".map-frame").nth(1);
  await frame.focus();
  await page.keyboard.press("ArrowDown");
  for (const key of ["Shift+ArrowDown", "ArrowDown", "Shift+ArrowRight"]) await page.keyboard.press(key);
  const place = await page.locator(".readout").innerText();
  const at = 9 * LENGTH + 8;
  const value = Number(await page.locator(".map-value").nth(1).innerText());
  const wanted = maps[1]?.values[at] ?? Number.NaN;
  const near = visible[at] === 1 && Math.abs(value - wanted) <= 1e-3 * Math.abs(wanted);
  report(
    "arrow keys read a value",
    place === "row 9, key 8" && near ? null : `${place}: ${value}, not ${wanted}`,
    `${place}: ${value}`,
  );
  await page.keyboard.press("Shift+ArrowRight");
  const masked = await page.locator(".map-value").nth(1).innerText();
  report("a masked entry says so", masked === "masked" ? null : masked);
}
