// The Vite example as a user has it: type-checked, built and served with the built package, its numbers compared with the float64
// reference computed here; then on Vite's development server, where specs change while the page is open. Prints a line for each
// check and ends with "N passed, N failed".
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";
import { createServer, preview, type ViteDevServer } from "vite";
import { openChromium } from "../../compiler/bench/peers/chromium.ts";
import { randomTensor } from "../../examples/vite/src/inputs.ts";
import type { HostTensor, Pipeline } from "../../runtime/contract/index.ts";
import { initParameters, randomParameters } from "../../runtime/contract/init.ts";
import { referenceForward } from "../../runtime/reference/index.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { attempt, messageOf, report, summarise, withScratch } from "./checks.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const EXAMPLE = join(ROOT, "examples/vite");
const require = createRequire(import.meta.url);

/** Rows and keys of the page's call, as the example has it. */
const LENGTH = 48;
/** Of six printed decimals, the last one may differ. */
const PRINTED = 2e-6;
const WAIT_MS = 40_000;

/** The page tells a reload by it. */
const MARKER = "mtacMarker";

/** A copy of the example with the built package and the tools that it needs. */
function install(scratch: string): string {
  const folder = join(scratch, "example");
  cpSync(EXAMPLE, folder, { recursive: true, filter: (path) => !/node_modules|dist|\.d\.ts$/.test(path) });
  const modules = join(folder, "node_modules");
  mkdirSync(join(modules, "mtac"), { recursive: true });
  for (const each of ["dist", "templates", "package.json"])
    cpSync(join(ROOT, each), join(modules, "mtac", each), { recursive: true });
  for (const name of ["vite", "typescript", "unplugin", "ts-morph", "@webgpu/types"]) {
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    symlinkSync(join(ROOT, "node_modules", name), join(modules, name), "dir");
  }
  return folder;
}

function node(folder: string, ...words: readonly string[]): void {
  const { status, stdout, stderr } = spawnSync(process.execPath, words, { cwd: folder, encoding: "utf8" });
  if (status !== 0) throw new Error(`${words.join(" ")}: ${stdout}${stderr}`);
}

/** What the page shows, by term. */
type Shown = Readonly<Partial<Record<string, string>>>;

async function shown(
  page: Page,
  fits: (rows: Shown) => boolean = (rows) => "last row" in rows,
): Promise<Shown> {
  const deadline = performance.now() + WAIT_MS;
  for (;;) {
    const rows: Shown = await page.evaluate(() => {
      const terms = Array.from(document.querySelectorAll("dt"));
      return Object.fromEntries(
        terms.map((term) => [term.textContent, term.nextElementSibling?.textContent ?? ""]),
      );
    });
    if (fits(rows)) return rows;
    if (performance.now() > deadline) throw new Error(`the page shows ${JSON.stringify(rows)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The values that the page should show for a spec. */
function expectedValues(
  spec: string,
  parameters: (pipeline: Pipeline) => ReadonlyMap<string, HostTensor>,
): string {
  const pipeline = pipelineOf(spec, "mta_toy");
  const { heads, kvHeads, headDim, valueDim } = pipeline;
  const inputs = {
    q: randomTensor(1, [1, heads, LENGTH, headDim]),
    k: randomTensor(2, [1, kvHeads, LENGTH, headDim]),
    v: randomTensor(3, [1, kvHeads, LENGTH, valueDim]),
  };
  const values = new Map(
    [...parameters(pipeline)].map(([name, { shape, data }]) => [
      name,
      { shape, data: Float64Array.from(data) },
    ]),
  );
  const { o } = referenceForward(pipeline, values, inputs);
  const last = (LENGTH - 1) * valueDim;
  return [...o.data.subarray(last, last + 4)].map((value) => value.toFixed(6)).join("  ");
}

function agrees(got: string | undefined, wanted: string): boolean {
  const numbers = (text: string): readonly number[] => text.split(/\s+/).map(Number);
  if (got === undefined) return false;
  const expected = numbers(wanted);
  const actual = numbers(got);
  return (
    actual.length === expected.length &&
    expected.every((value, index) => Math.abs(value - (actual[index] ?? Number.NaN)) <= PRINTED)
  );
}

function compare(what: string, rows: Shown, wanted: string): void {
  const { error = "" } = rows;
  const passed = agrees(rows["last row"], wanted) && error.includes("passed");
  report(what, passed ? null : `it shows ${JSON.stringify(rows)}, not ${wanted}`, error);
}

/** What a page complains of, from now on. */
function complaintsOf(page: Page): string[] {
  const complaints: string[] = [];
  page.on("pageerror", ({ message }) => complaints.push(message));
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  return complaints;
}

function reportConsole(what: string, complaints: readonly string[]): void {
  report(what, complaints.length === 0 ? null : complaints.join("\n"), "no error, no warning");
}

async function checkBuild(browser: Browser, folder: string): Promise<void> {
  node(folder, "node_modules/mtac/dist/cli/main.js", "types", "src/spec.mta");
  node(folder, require.resolve("typescript/lib/tsc.js"), "-p", ".");
  report("the example type-checks", null);
  node(folder, "node_modules/vite/bin/vite.js", "build", "--logLevel", "warn");
  const server = await preview({
    root: folder,
    logLevel: "silent",
    preview: { port: 0, host: "127.0.0.1", open: false },
  });
  try {
    const page = await browser.newPage();
    const complaints = complaintsOf(page);
    await page.goto(server.resolvedUrls?.local[0] ?? "");
    const rows = await shown(page);
    const spec = readFileSync(join(EXAMPLE, "src/spec.mta"), "utf8");
    compare(
      "built and served: as the reference",
      rows,
      expectedValues(spec, (each) => randomParameters(each, 1)),
    );
    reportConsole("built and served: console", complaints);
    await page.close();
  } finally {
    await server.close();
  }
}

/** Changes the spec's file as an editor does. */
function edit(folder: string, text: string): void {
  writeFileSync(join(folder, "src/spec.mta"), text);
}

function overlayText(page: Page): Promise<string | null> {
  return page.evaluate(() => document.querySelector("vite-error-overlay")?.shadowRoot?.textContent ?? null);
}

async function waitFor(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + WAIT_MS;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function isMarked(page: Page): Promise<boolean> {
  return page.evaluate((marker) => marker in globalThis, MARKER);
}

function mark(page: Page): Promise<unknown> {
  return page.evaluate((marker) => Object.assign(globalThis, { [marker]: true }), MARKER);
}

/** Does what makes the page load again, and waits for that. */
async function reloads(page: Page, change: () => void): Promise<void> {
  await mark(page);
  change();
  // While it loads there is nobody to ask.
  await waitFor("a reload", async () => !(await isMarked(page).catch(() => true)));
}

async function checkSwaps(page: Page, folder: string): Promise<void> {
  const original = readFileSync(join(EXAMPLE, "src/spec.mta"), "utf8");
  const drawn = (pipeline: Pipeline): ReadonlyMap<string, HostTensor> => randomParameters(pipeline, 1);
  const first = await shown(page);
  compare("dev server: as the reference", first, expectedValues(original, drawn));
  await mark(page);
  const changesTo = async (what: string, spec: string, wanted: string): Promise<void> => {
    edit(folder, spec);
    const rows = await shown(page, (each) => agrees(each["last row"], wanted));
    compare(what, rows, wanted);
    report(`${what}, without a reload`, (await isMarked(page)) ? null : "the page was loaded again");
  };

  const windowed = original.replace("causal", "causal window 16");
  await attempt("swap", () =>
    changesTo("new mask, old parameters", windowed, expectedValues(windowed, drawn)),
  );
  await attempt("broken spec", async () => {
    edit(folder, original.replace("conv 2x9", "conv 2x9 <img src=x onerror='globalThis.pwned=1'>"));
    await waitFor("the overlay", async () => (await overlayText(page)) !== null);
    const text = (await overlayText(page)) ?? "";
    const missing = ["MTA", "spec.mta:9:", "9 |", "^", "<img src=x"].filter((part) => !text.includes(part));
    report("broken spec: overlay", missing.length === 0 ? null : `it lacks ${missing.join(", ")}: ${text}`);
    await page.evaluate(() => {
      document.querySelector("#results")?.replaceChildren();
      globalThis.dispatchEvent(new CustomEvent("mtac:swap"));
    });
    compare("broken spec: old kernels compute", await shown(page), expectedValues(windowed, drawn));
    report("broken spec: no reload", (await isMarked(page)) ? null : "the page was loaded again");
  });
  await attempt("mended spec", async () => {
    const mended = original.replace("conv 2x9", "conv 3x5");
    // The convolution's shape has changed: it starts as the spec's `init` has it.
    await changesTo(
      "mended spec, new shapes",
      mended,
      expectedValues(mended, (each) => initParameters(each)),
    );
    report("mended spec: overlay", (await overlayText(page)) === null ? null : "it is still there");
  });
  await attempt("renamed attention", async () => {
    // Pages that lack what they import run nothing: no word of theirs is on the page.
    await reloads(page, () => edit(folder, original.replaceAll("mta_toy", "mta_other")));
    await page.waitForLoadState("networkidle");
    await reloads(page, () => edit(folder, original));
    compare("renamed and renamed back: as the reference", await shown(page), expectedValues(original, drawn));
  });
  await attempt("another attention", async () => {
    await reloads(page, () => edit(folder, `${original}\nattention other extends mta_toy { }\n`));
    compare("another attention: loaded again", await shown(page), expectedValues(original, drawn));
  });
  const pwned = await page.evaluate(() => "pwned" in globalThis);
  report("markup in a spec does nothing", pwned ? "it ran" : null);
}

const WORKER = `import { mtaToyPipeline } from "./spec.mta";
const start = Math.random();
const tell = () => postMessage({ start, terms: mtaToyPipeline.mask.length });
addEventListener("mtac:swap", tell);
tell();
`;

const WORKER_PAGE = `<!doctype html><meta charset="utf-8"><title>worker</title><link rel="icon" href="data:,">
<script type="module">
globalThis.told = [];
const worker = new Worker(new URL("./src/worker.js", location.href), { type: "module" });
worker.addEventListener("message", ({ data }) => told.push(data));
</script>`;

/** A worker has a module graph of its own. */
async function checkWorker(page: Page, folder: string, url: string): Promise<void> {
  const original = readFileSync(join(EXAMPLE, "src/spec.mta"), "utf8");
  // The server tells of changes late: the page that follows must not hear of this one.
  await reloads(page, () => edit(folder, original));
  await page.goto(new URL("worker.html", url).href);
  const told = (): Promise<readonly { start: number; terms: number }[]> =>
    page.evaluate(() => {
      const list: unknown = Reflect.get(globalThis, "told");
      return Array.isArray(list) ? list : [];
    });
  await waitFor("the worker", async () => (await told()).length > 0);
  await mark(page);
  edit(folder, original.replace("causal", "causal window 16"));
  await waitFor("the worker's swap", async () => (await told()).some(({ terms }) => terms === 2));
  const starts = new Set((await told()).map(({ start }) => start));
  const kept = starts.size === 1 && (await isMarked(page));
  report("a worker takes new kernels, without a new start", kept ? null : "it was started again");
}

async function checkDevelopment(browser: Browser, folder: string): Promise<void> {
  const server: ViteDevServer = await createServer({
    root: folder,
    logLevel: "silent",
    server: { port: 0, host: "127.0.0.1" },
  });
  try {
    await server.listen();
    const page = await browser.newPage();
    const complaints = complaintsOf(page);
    await page.goto(server.resolvedUrls?.local[0] ?? "");
    await checkSwaps(page, folder);
    await attempt("worker", () => checkWorker(page, folder, server.resolvedUrls?.local[0] ?? ""));
    // The one of the attention that was renamed.
    const others = complaints.filter((each) => !each.includes("does not provide an export named"));
    reportConsole("dev server: console", others);
    await page.close();
  } finally {
    await server.close();
  }
}

export async function checkVite(): Promise<boolean> {
  await withScratch(async (scratch) => {
    Object.assign(process.env, { XDG_CACHE_HOME: join(scratch, "cache") });
    let browser: Browser | undefined;
    try {
      const folder = install(scratch);
      writeFileSync(join(folder, "src/worker.js"), WORKER);
      writeFileSync(join(folder, "worker.html"), WORKER_PAGE);
      browser = await openChromium({ resolveFrom: ROOT, scratch, gpu: "swiftshader" });
      const opened = browser;
      await attempt("build", () => checkBuild(opened, folder));
      await attempt("dev server", () => checkDevelopment(opened, folder));
    } catch (error) {
      report("the browser", messageOf(error));
    } finally {
      await browser?.close();
    }
  });
  return summarise();
}
