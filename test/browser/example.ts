// The Vite example: installed, looked at in a page, compared with the float64 reference.
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import { randomTensor } from "../../examples/vite/src/inputs.ts";
import type { HostTensor, Pipeline } from "../../runtime/contract/index.ts";
import { randomParameters } from "../../runtime/contract/init.ts";
import { referenceForward } from "../../runtime/reference/index.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { report } from "./checks.ts";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));
export const EXAMPLE = join(ROOT, "examples/vite");

/** Rows and keys of the page's call, as the example has it. */
const LENGTH = 48;
/** Of six printed decimals, the last one may differ. */
const PRINTED = 2e-6;
export const WAIT_MS = 40_000;

/** A copy of the example with the built package and the tools that it needs. */
export function install(scratch: string): string {
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

export function node(folder: string, ...words: readonly string[]): void {
  const { status, stdout, stderr } = spawnSync(process.execPath, words, { cwd: folder, encoding: "utf8" });
  if (status !== 0) throw new Error(`${words.join(" ")}: ${stdout}${stderr}`);
}

/** What the page shows, by term. */
export type Shown = Readonly<Partial<Record<string, string>>>;

export async function shown(
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
export function expectedValues(
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

/** The values that the page should show as the example is. */
export function exampleValues(): string {
  const spec = readFileSync(join(EXAMPLE, "src/spec.mta"), "utf8");
  return expectedValues(spec, (each) => randomParameters(each, 1));
}

export function agrees(got: string | undefined, wanted: string): boolean {
  const numbers = (text: string): readonly number[] => text.split(/\s+/).map(Number);
  if (got === undefined) return false;
  const expected = numbers(wanted);
  const actual = numbers(got);
  return (
    actual.length === expected.length &&
    expected.every((value, index) => Math.abs(value - (actual[index] ?? Number.NaN)) <= PRINTED)
  );
}

export function compare(what: string, rows: Shown, wanted: string): void {
  const { error = "" } = rows;
  const passed = agrees(rows["last row"], wanted) && error.includes("passed");
  report(what, passed ? null : `it shows ${JSON.stringify(rows)}, not ${wanted}`, error);
}

/** What a page complains of, from now on. */
export function complaintsOf(page: Page): string[] {
  const complaints: string[] = [];
  page.on("pageerror", ({ message }) => complaints.push(message));
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  return complaints;
}

export function reportConsole(what: string, complaints: readonly string[]): void {
  report(what, complaints.length === 0 ? null : complaints.join("\n"), "no error, no warning");
}
