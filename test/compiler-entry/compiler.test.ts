import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { afterAll, describe, expect, test } from "vitest";
import { packageVersion } from "../../compiler/package.ts";

// `mtac/compiler` as it is built: what a page loads.

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const BUILT = join(ROOT, "dist/compiler/browser.js");
const SPEC = readFileSync(join(ROOT, "examples/mta_830m.mta"), "utf8");

/** Minified and compressed, with all templates but those of gradients, and the C library. */
const MAX_BYTES = 292 * 1024;
/** What comes when somebody asks for gradients. */
const MAX_GRADIENT_BYTES = 61 * 1024;

const inBrowsers: typeof import("../../compiler/browser.ts") = await import(BUILT);
const inNode: typeof import("../../compiler/index.ts") = await import(join(ROOT, "dist/compiler/index.js"));

const folder = mkdtempSync(join(tmpdir(), "mtac-compiler-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What a bundler makes of the compiler for pages: what they load at first, and what comes later, by file name. */
async function bundled(): Promise<{ readonly first: Files; readonly later: Files }> {
  const { outputFiles, metafile, warnings } = await build({
    entryPoints: { compiler: BUILT },
    absWorkingDir: folder,
    bundle: true,
    splitting: true,
    format: "esm",
    minify: true,
    platform: "browser",
    outdir: folder,
    outExtension: { ".js": ".mjs" },
    write: false,
    metafile: true,
    logLevel: "silent",
  });
  expect(warnings).toEqual([]);
  const first = new Set(["compiler.mjs"]);
  for (const file of first)
    for (const { path, kind } of metafile.outputs[file]?.imports ?? [])
      if (kind === "import-statement") first.add(path);
  const files = outputFiles.map(({ path, text }) => [basename(path), text] as const);
  return {
    first: new Map(files.filter(([name]) => first.has(name))),
    later: new Map(files.filter(([name]) => !first.has(name))),
  };
}

type Files = ReadonlyMap<string, string>;

function compressed(files: Files): number {
  return [...files.values()].reduce((sum, text) => sum + gzipSync(text).length, 0);
}

describe("mtac/compiler", () => {
  test("compiles as mtac does, without launchers", async () => {
    const here = await inBrowsers.compile(SPEC, { file: "mta_830m.mta" });
    const there = await inNode.compile(SPEC, { file: "mta_830m.mta" });
    expect(here.artifacts).toEqual(there.artifacts);
    expect(here.cuda).toEqual(there.cuda);
    expect(here.spec).toEqual(there.spec);
    expect(here.pipelines.map(({ name }) => name)).toEqual(["mta_830m", "mta_830m_heads"]);
    const others = Object.entries(there.files).filter(([name]) => !name.endsWith(".ts"));
    expect(here.files).toEqual(Object.fromEntries(others));
    expect(Object.keys(here.files)).toContain("mta_830m.scores_conv.wgsl");
    expect(here.files["mta_830m.h"]).toContain(`mtac ${packageVersion()}`);
  });

  test("leaves out the targets that nobody asks for, and names files without folders", async () => {
    const { artifacts, cuda, pipelines, files } = await inBrowsers.compile(SPEC, {
      targets: ["cuda"],
      file: "some/folder/spec.mta",
    });
    expect([artifacts.length, cuda.length, pipelines.length]).toEqual([0, 2, 2]);
    expect(Object.values(files).join("\n")).not.toContain("some/folder");
  });

  test("refuses specs with every diagnostic", async () => {
    const failure = inBrowsers.compile("attention x {\n  heads 2\n  head_dimm 8\n}\n");
    await expect(failure).rejects.toBeInstanceOf(inBrowsers.SpecError);
    await expect(failure).rejects.toMatchObject({
      kind: "input",
      diagnostics: [{ code: "MTA113", file: "spec.mta", span: { line: 3, column: 3 } }],
    });
  });

  test("programs on Node may emit gradients without waiting for anything", () => {
    const program = `
      const { analyse, emitArtifact, resolve } = await import(${JSON.stringify(join(ROOT, "dist/compiler/index.js"))});
      const { spec } = analyse("attention a { heads 2 head_dim 8 scores { conv 2x3 } }", "spec.mta");
      const { sources } = emitArtifact(resolve(spec.attentions[0], "spec.mta"), { grad: true });
      console.log(Object.keys(sources).join());
    `;
    const files = execFileSync(process.execPath, ["--input-type=module", "-e", program], {
      encoding: "utf8",
    });
    expect(files).toContain("a.key_gradient.backward.wgsl");
  });

  test("explains, formats and analyses", () => {
    const { spec } = inBrowsers.analyse(SPEC, "spec.mta");
    const [attention] = spec?.attentions ?? [];
    if (spec === null || attention === undefined) throw new Error("the spec has errors");
    const pipeline = inBrowsers.resolve(attention, "spec.mta");
    const facts = inBrowsers.attentionFacts(spec.stacks, pipeline, { batch: 1, length: 512 });
    const { plan } = inBrowsers.explain(facts, {
      target: "webgpu",
      limits: inBrowsers.WEBGPU_COMMON_LIMITS,
    });
    expect(plan?.schedule).toBe("staged");
    expect(facts.operations).toBeGreaterThan(0);
  });

  test("runs where nothing of Node is, and no code may be made; small", async () => {
    const { first, later } = await bundled();
    const [bytes, gradientBytes] = [compressed(first), compressed(later)];
    const kilobytes = [bytes, gradientBytes].map((each) => (each / 1024).toFixed(0));
    console.info(`mtac/compiler: ${kilobytes.join(" KB, with gradients + ")} KB, minified and compressed`);
    expect(bytes).toBeLessThan(MAX_BYTES);
    expect(gradientBytes).toBeLessThan(MAX_GRADIENT_BYTES);
    for (const [name, code] of [...first, ...later]) {
      // What it was built from has no import of Node's to be found, or esbuild would have refused it for a browser.
      expect(code).not.toMatch(/\bnew Function\(/);
      writeFileSync(join(folder, name), code);
    }
    const program = join(folder, "program.mjs");
    const run = `
      delete globalThis.process; delete globalThis.Buffer; delete globalThis.require;
      const { compile } = await import("./compiler.mjs");
      const { artifacts, cuda } = await compile(${JSON.stringify(SPEC)}, { file: "mta_830m.mta" });
      const trained = await compile(${JSON.stringify(SPEC)}, { file: "mta_830m.mta", grad: true });
      const c = await compile(${JSON.stringify(SPEC)}, { file: "mta_830m.mta", grad: true, targets: ["cpu"] });
      console.log(JSON.stringify([artifacts, cuda, trained.artifacts, trained.cuda, c.files["mta_830m_backward.c"]]));
    `;
    writeFileSync(program, run);
    const text = execFileSync(process.execPath, ["--disallow-code-generation-from-strings", program], {
      encoding: "utf8",
      maxBuffer: 2 ** 28,
    });
    const { artifacts, cuda } = await inNode.compile(SPEC, { file: "mta_830m.mta" });
    const trained = await inNode.compile(SPEC, { file: "mta_830m.mta", grad: true });
    const c = await inNode.compile(SPEC, { file: "mta_830m.mta", grad: true, targets: ["cpu"] });
    const source = c.files["mta_830m_backward.c"];
    expect(source).toContain("int mta_830m_backward(");
    const expected = [artifacts, cuda, trained.artifacts, trained.cuda, source];
    expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(expected)));
  });
});
