// The page that runs the trained toy models: type-checked, built, served, and compared with what PyTorch answers to the same texts
// (`python -m toy.export --answers`), on WebGPU and on WebAssembly. Prints a line for each check and ends with "N passed, N failed".
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";
import { openChromium } from "../../compiler/bench/peers/chromium.ts";
import { ISOLATION } from "../../examples/playground/plugins/policy.ts";
import { buildPage } from "../../examples/playground/scripts/build.ts";
import { serveFolder } from "../../examples/playground/scripts/static-server.ts";
import { attempt, messageOf, report, summarise, withScratch } from "./checks.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const EXAMPLE = join(ROOT, "examples/toy");
const WAIT_MS = 40_000;

/** What f32 sums in another order may differ by, in logits of up to 30; and PyTorch's were written with five decimals. */
const LOGIT_TOLERANCE = 5e-4;

/** What PyTorch said of a text. */
interface Answered {
  readonly text: string;
  readonly answer: string;
  /** Of the answer's letters and what follows them. */
  readonly logits: readonly (readonly number[])[];
}

const KINDS = ["mta", "plain"] as const;

function answersOf(kind: string): readonly Answered[] {
  return JSON.parse(readFileSync(new URL(`../toy/${kind}.json`, import.meta.url), "utf8"));
}

/** Types and the page; the packages that it imports are the built ones. */
function checkTypes(): void {
  const run = (...words: readonly string[]): void => {
    const { status, stdout, stderr } = spawnSync(process.execPath, words, { cwd: ROOT, encoding: "utf8" });
    if (status !== 0) throw new Error(`${words.join(" ")}: ${stdout}${stderr}`);
  };
  const spec = "examples/pytorch/attention.mta";
  run("dist/cli/main.js", "types", spec, "--target", "auto", "--arbitrary-extensions");
  run(createRequire(import.meta.url).resolve("typescript/lib/tsc.js"), "-p", EXAMPLE);
  report("the page type-checks", null);
}

interface Shown {
  readonly answer: string;
  readonly logits: readonly (readonly number[])[];
}

/** Types a text and waits for the answer to it. */
async function ask(page: Page, kind: string, text: string, answer: string): Promise<Shown> {
  await page.fill("input.text", text);
  // An answer to the text before may be there still; one that never comes is told by what is read then.
  await page
    .waitForFunction(
      ([model, wanted]) => document.querySelector(`[data-kind="${model}"] output`)?.textContent === wanted,
      [kind, answer],
      { timeout: 5000 },
    )
    .catch(() => undefined);
  return page.evaluate((model) => {
    const section = document.querySelector(`[data-kind="${model}"]`);
    const rows = Array.from(section?.querySelectorAll(".logits tbody tr") ?? []);
    return {
      answer: section?.querySelector("output")?.textContent ?? "",
      logits: rows.map((row) => Array.from(row.querySelectorAll("td"), (cell) => Number(cell.textContent))),
    };
  }, kind);
}

function differenceOf(shown: Shown, wanted: Answered): string | null {
  if (shown.answer !== wanted.answer) return `it answers ${shown.answer}, PyTorch ${wanted.answer}`;
  if (shown.logits.length !== wanted.logits.length) return `it has logits of ${shown.logits.length} tokens`;
  const differences = wanted.logits.flatMap((row, index) =>
    row.map((value, token) => Math.abs(value - (shown.logits[index]?.[token] ?? Number.NaN))),
  );
  const worst = differences.every((each) => !Number.isNaN(each)) ? Math.max(...differences) : Number.NaN;
  return worst <= LOGIT_TOLERANCE ? null : `logits differ by ${worst}`;
}

async function checkDevice(browser: Browser, url: string, device: "webgpu" | "wasm"): Promise<void> {
  const page = await browser.newPage();
  const complaints: string[] = [];
  page.on("pageerror", ({ message }) => complaints.push(message));
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });
  await page.goto(`${url}?device=${device}`);
  await page.waitForSelector(".model", { timeout: WAIT_MS });
  const said = (await page.textContent("main")) ?? "";
  const runs = device === "wasm" ? /On WebAssembly/.test(said) : !/On WebAssembly|not WebGPU/.test(said);
  report(`${device}: the page says where it computes`, runs ? null : said.slice(-200));
  for (const kind of KINDS)
    for (const wanted of answersOf(kind)) {
      const shown = await ask(page, kind, wanted.text, wanted.answer);
      report(`${device}: ${kind} as PyTorch on ${wanted.text}`, differenceOf(shown, wanted));
    }
  await checkUse(page, device);
  report(`${device}: console`, complaints.length === 0 ? null : complaints.join("; "));
  await page.close();
}

/** What visitors do: a wrong text, another one, another head. */
async function checkUse(page: Page, device: string): Promise<void> {
  await page.fill("input.text", "abcde.fghij#ab");
  await page.waitForFunction(() => document.querySelector(".trouble")?.textContent?.includes("8 blocks"));
  await page.click("text=Draw another");
  await page.waitForFunction(() => document.querySelector(".trouble")?.textContent === "");
  await page.waitForSelector('[data-kind="mta"] .right', { timeout: WAIT_MS });
  const maps = await page.$$eval('[data-kind="mta"] .map-name', (names) =>
    names.map(({ textContent }) => textContent),
  );
  const wanted = "scores, scores.conv, softmax";
  report(
    `${device}: a wrong text, a drawn one, maps`,
    maps.join(", ") === wanted ? null : `maps ${maps.join(", ")}`,
  );
  // Another head of the answer that is there, while the next text is read.
  const stays = await page.evaluate(() => {
    const input = document.querySelector<HTMLInputElement>("input.text");
    const head = document.querySelectorAll("select")[1];
    if (input === null || head === undefined) return false;
    input.value = "abcde.fghij.klmno.pqrst.uvwxy.zabcd.efghi.jklmn#uv";
    input.dispatchEvent(new Event("input"));
    head.dispatchEvent(new Event("change"));
    return document.querySelector('[data-kind="mta"] .right') !== null;
  });
  report(`${device}: an answer stays that of its text`, stays ? null : "it is judged by the next one");
}

export async function checkToy(): Promise<boolean> {
  await withScratch(async (scratch) => {
    let browser: Browser | undefined;
    try {
      await attempt("types", async () => checkTypes());
      const folder = join(scratch, "page");
      await buildPage("toy", folder);
      browser = await openChromium({ resolveFrom: ROOT, scratch, gpu: "swiftshader" });
      const opened = browser;
      const server = await serveFolder(folder, "/toy/", ISOLATION);
      for (const device of ["webgpu", "wasm"] as const)
        await attempt(device, () => checkDevice(opened, server.url, device));
      server.close();
    } catch (error) {
      report("the page", messageOf(error));
    } finally {
      await browser?.close();
    }
  });
  return summarise();
}
