import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build as esbuild, transform } from "esbuild";
import { rolldown } from "rolldown";
import { rollup } from "rollup";
import { build as vite } from "vite";
import { describe, expect, test } from "vitest";
import mtacEsbuild from "../../compiler/plugin/esbuild.ts";
import type { PluginOptions } from "../../compiler/plugin/options.ts";
import mtacRolldown from "../../compiler/plugin/rolldown.ts";
import mtacRollup from "../../compiler/plugin/rollup.ts";
import mtacVite from "../../compiler/plugin/vite.ts";
import mtacWebpack from "../../compiler/plugin/webpack.ts";
import { NO_TIMINGS, project, RUNTIME, runWebpack } from "./hosts.ts";

/** Launcher, runtime and one WebAssembly module, compressed, each file by itself as a server sends it. */
const MAX_BYTES = 46.25 * 1024;

/** Bundlers that load parts of a bundle when they are asked for; each writes to the folder's `out`. */
const SPLITTING: Readonly<Record<string, (folder: string, options: PluginOptions) => Promise<unknown>>> = {
  vite: (folder, options) =>
    vite({
      root: folder,
      configFile: false,
      logLevel: "silent",
      plugins: [mtacVite(options)],
      build: { outDir: "out", rolldownOptions: { input: join(folder, "main.js") } },
    }),
  webpack: (folder, options) =>
    runWebpack({
      mode: "production",
      context: folder,
      entry: "./main.js",
      output: { path: join(folder, "out"), publicPath: "" },
      plugins: [mtacWebpack(options)],
    }),
  rollup: async (folder, options) => {
    const bundle = await rollup({
      input: join(folder, "main.js"),
      plugins: [mtacRollup(options), RUNTIME, MINIFIED],
    });
    await bundle.write({ dir: join(folder, "out") });
  },
  rolldown: async (folder, options) => {
    const bundle = await rolldown({
      cwd: folder,
      input: join(folder, "main.js"),
      plugins: [mtacRolldown(options)],
      checks: NO_TIMINGS,
    });
    await bundle.write({ dir: join(folder, "out"), minify: true });
  },
  esbuild: (folder, options) =>
    esbuild({
      entryPoints: [join(folder, "main.js")],
      absWorkingDir: folder,
      bundle: true,
      splitting: true,
      format: "esm",
      minify: true,
      outdir: "out",
      logLevel: "silent",
      plugins: [mtacEsbuild(options)],
    }),
};

/** Rollup does not minify: its users do so with another tool. */
const MINIFIED = {
  name: "minified",
  renderChunk: async (code: string) => ({
    code: (await transform(code, { minify: true, format: "esm" })).code,
    map: null,
  }),
};

/** A page that opens a device and makes a launcher. */
function pageOf(runtime: string, open: string): string {
  const folder = project();
  writeFileSync(
    join(folder, "main.js"),
    `import { download, ${open}, upload } from "mtac/runtime/${runtime}";
import { createUsed, initUsedParameters } from "./spec.mta";
globalThis.entry = { createUsed, download, initUsedParameters, ${open}, upload };
`,
  );
  return folder;
}

interface Built {
  readonly name: string;
  readonly text: string;
  readonly bytes: number;
}

function filesOf(folder: string): readonly Built[] {
  const entries = readdirSync(join(folder, "out"), { withFileTypes: true, recursive: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => {
      const content = readFileSync(join(entry.parentPath, entry.name));
      return { name: entry.name, text: content.toString("latin1"), bytes: gzipSync(content).length };
    });
}

function total(files: readonly Built[]): number {
  return files.reduce((sum, { bytes }) => sum + bytes, 0);
}

const isGpu = ({ text }: Built): boolean =>
  text.includes("createComputePipelineAsync") || text.includes("@workgroup_size");
const isWasm = ({ text }: Built): boolean => text.includes("workspace_bytes");
const isScript = ({ name }: Built): boolean => name.endsWith(".js");

/** Of the two prebuilt modules a page fetches one: the larger one counts. */
function wasmBytes(): number {
  const files = ["plain", "relaxed"].map((name) =>
    readFileSync(new URL(`../../templates/c/${name}.wasm`, import.meta.url)),
  );
  return Math.max(...files.map((content) => gzipSync(content).length));
}

describe.each(Object.entries(SPLITTING))("%s", (_, bundle) => {
  test('what `target: "wasm"` makes is small', async () => {
    const folder = pageOf("wasm", "openWasm");
    await bundle(folder, { types: false, target: "wasm" });
    const files = filesOf(folder);
    expect(files.some(isGpu)).toBe(false);
    expect(files.some(isWasm)).toBe(true);
    expect(total(files.filter(isScript)) + wasmBytes()).toBeLessThanOrEqual(MAX_BYTES);
    const modules = files.filter((each) => each.name.endsWith(".wasm"));
    // Those of gradients are fetched by pages that ask for them.
    expect(modules).toHaveLength(4);
    // The runtime looks for them there.
    const scripts = files.filter(isScript);
    for (const each of modules) expect(scripts.some(({ text }) => text.includes(each.name))).toBe(true);
    expect(scripts.some(({ text }) => text.includes("../templates/c/"))).toBe(false);
  });

  test('what `target: "auto"` makes loads one part or the other, each of them small', async () => {
    const folder = pageOf("auto", "openDevice");
    await bundle(folder, { types: false, target: "auto" });
    const scripts = filesOf(folder).filter(isScript);
    expect(scripts.filter((each) => isGpu(each) && isWasm(each))).toEqual([]);
    const [entry] = scripts.filter(({ text }) => text.includes("initUsedParameters"));
    expect(entry === undefined || isGpu(entry) || isWasm(entry)).toBe(false);
    expect(scripts.some(isGpu)).toBe(true);
    const onProcessor = scripts.filter((each) => !isGpu(each));
    expect(onProcessor.some(isWasm)).toBe(true);
    expect(total(onProcessor) + wasmBytes()).toBeLessThanOrEqual(MAX_BYTES);
  });
});

test("Vite builds workers that choose, without more configuration", async () => {
  const folder = project();
  const worker = 'import { createUsed } from "./spec.mta";\nglobalThis.create = createUsed;\n';
  writeFileSync(join(folder, "worker.js"), worker);
  const page = 'new Worker(new URL("./worker.js", import.meta.url), { type: "module" });\n';
  writeFileSync(join(folder, "main.js"), page);
  await SPLITTING["vite"]?.(folder, { types: false, target: "auto" });
  const files = filesOf(folder);
  expect(files.some(isGpu)).toBe(true);
  expect(files.filter(({ name, ...rest }) => name.startsWith("worker") && isGpu({ name, ...rest }))).toEqual(
    [],
  );
});
