// The Vite example as a user has it: type-checked, built and served with the built package, its numbers compared with the float64
// reference computed here; then on Vite's development server, where specs change while the page is open. Prints a line for each
// check and ends with "N passed, N failed".
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { createServer, preview, type ViteDevServer } from "vite";
import { openChromium } from "../../compiler/bench/peers/chromium.ts";
import type { HostTensor, Pipeline } from "../../runtime/contract/index.ts";
import { initParameters, randomParameters } from "../../runtime/contract/init.ts";
import { attempt, messageOf, report, summarise, withScratch } from "./checks.ts";
import { checkDevices } from "./devices.ts";
import {
  agrees,
  compare,
  complaintsOf,
  EXAMPLE,
  exampleValues,
  expectedValues,
  install,
  node,
  ROOT,
  reportConsole,
  shown,
  WAIT_MS,
} from "./example.ts";

const require = createRequire(import.meta.url);

/** The page tells a reload by it. */
const MARKER = "mtacMarker";

async function checkBuild(browser: Browser, folder: string): Promise<void> {
  node(folder, "node_modules/mtac/dist/cli/main.js", "types", "src/spec.mta", "--target", "auto");
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
    await page.goto(addressOf(server, "webgpu"));
    compare("built and served: as the reference", await shown(page), exampleValues());
    reportConsole("built and served: console", complaints);
    await page.close();
  } finally {
    await server.close();
  }
}

/** SwiftShader's page asks for its GPU: a software one is not taken otherwise. */
function addressOf({ resolvedUrls }: Pick<ViteDevServer, "resolvedUrls">, device: string): string {
  return `${resolvedUrls?.local[0] ?? ""}?device=${device}`;
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

/** The same launchers on the processor. */
async function checkProcessorSwap(page: Page, folder: string): Promise<void> {
  const original = readFileSync(join(EXAMPLE, "src/spec.mta"), "utf8");
  const windowed = original.replace("causal", "causal window 8");
  const drawn = (pipeline: Pipeline): ReadonlyMap<string, HostTensor> => randomParameters(pipeline, 1);
  compare("dev server, on the processor: as the reference", await shown(page), exampleValues());
  await mark(page);
  edit(folder, windowed);
  const wanted = expectedValues(windowed, drawn);
  compare(
    "new mask, on the processor",
    await shown(page, (each) => agrees(each["last row"], wanted)),
    wanted,
  );
  report(
    "new mask, on the processor, without a reload",
    (await isMarked(page)) ? null : "it was loaded again",
  );
  edit(folder, original);
  await shown(page, (each) => agrees(each["last row"], exampleValues()));
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
    await page.goto(addressOf(server, "wasm"));
    await attempt("swap on the processor", () => checkProcessorSwap(page, folder));
    await page.goto(addressOf(server, "webgpu"));
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
      await attempt("devices", () => checkDevices(opened, folder, scratch));
      await attempt("dev server", () => checkDevelopment(opened, folder));
    } catch (error) {
      report("the browser", messageOf(error));
    } finally {
      await browser?.close();
    }
  });
  return summarise();
}
