import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { eachMapping, TraceMap } from "@jridgewell/trace-mapping";
import { build } from "vite";
import { describe, expect, test } from "vitest";
import mtacVite from "../../compiler/plugin/vite.ts";
import { BUNDLERS, project } from "./hosts.ts";

/** Launcher and runtime, minified and compressed, without the text of kernels. */
const MAX_BYTES = 25 * 1024;

/** The kernels' texts of a bundle, however the bundler writes strings. */
const KERNEL_TEXT = /("[\w.]+\.wgsl"): ?(?:`(?:[^`\\]|\\[\s\S])*`|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')/g;

/** Rolldown's maps have one place for a whole string: where its first line comes from. */
const WHOLE_STRINGS: ReadonlySet<string> = new Set(["vite", "rolldown"]);

const BROKEN = `attention used {
  heads 2
  head_dimm 8
}
`;

describe.each(Object.entries(BUNDLERS))("%s", (name, bundle) => {
  const folder = project();

  test("bundles what is imported, and nothing of what is not; the same each time; small", async () => {
    const { code, map, warnings } = await bundle(folder, { types: false });
    expect(code).toContain("used.attention.wgsl");
    expect(code).not.toContain("unused.");
    expect(code).not.toContain("mtac:swap");
    expect(code).not.toContain(folder);
    expect(warnings).toEqual([]);
    const bare = code.replace(KERNEL_TEXT, '$1:""');
    expect(bare.length).toBeLessThan(code.length);
    expect(bare).not.toContain("@workgroup_size");
    expect(gzipSync(bare).length).toBeLessThan(MAX_BYTES);
    expect(specLinesOf(map)).toEqual(expect.arrayContaining(WHOLE_STRINGS.has(name) ? [2] : [2, 5]));
    // Another plugin, which remembers nothing.
    expect((await bundle(folder, { types: false })).code).toBe(code);
    expect(existsSync(join(folder, "spec.mta.d.ts"))).toBe(false);
  });

  test("fails with mtac's code, the place and the remedy; then builds the mended spec", async () => {
    const spec = readFileSync(join(folder, "spec.mta"), "utf8");
    writeFileSync(join(folder, "spec.mta"), BROKEN);
    const failure: unknown = await bundle(folder, { types: false }).catch((error: unknown) => error);
    writeFileSync(join(folder, "spec.mta"), spec);
    const shown = shownBy(failure);
    expect(shown).toMatch(/MTA\d\d\d/);
    expect(shown).toContain("fix: ");
    expect(shown).toMatch(/spec\.mta:3:|"line":3\b/);
    expect(shown).toContain("head_dimm 8");
    expect((await bundle(folder, { types: false })).code).toContain("used.attention.wgsl");
  });

  test("warns as mtac check does", async () => {
    const spec = readFileSync(join(folder, "spec.mta"), "utf8");
    writeFileSync(
      join(folder, "spec.mta"),
      spec
        .replace("conv 2x3", "conv 2x3 pad_query both")
        .replace("2x3", "3x3")
        .replace("head_dim 8", "head_dim 8 mask causal"),
    );
    const { warnings } = await bundle(folder, { types: false });
    writeFileSync(join(folder, "spec.mta"), spec);
    expect(warnings.filter((each) => each.includes("MTA501"))).toHaveLength(1);
  });
});

/** Everything that a bundler's user would see of an error. */
function shownBy(error: unknown): string {
  if (!(error instanceof Error)) return JSON.stringify(error);
  return `${error.message} ${JSON.stringify(error)}`.replaceAll("\\n", "\n");
}

/** The lines of the spec that a bundle's source map leads to. */
function specLinesOf(map: string): readonly number[] {
  const lines = new Set<number>();
  const trace = new TraceMap(map);
  eachMapping(trace, ({ source, originalLine }) => {
    if (source?.endsWith("spec.mta") === true && originalLine !== null) lines.add(originalLine);
  });
  const index = trace.sources.findIndex((source) => source?.endsWith("spec.mta") === true);
  expect(trace.sourcesContent?.[index]).toContain("attention used {");
  return [...lines];
}

test("Vite builds specs into workers, too, without more configuration", async () => {
  const folder = project();
  writeFileSync(
    join(folder, "worker.js"),
    'import { createUsed } from "./spec.mta";\nglobalThis.create = createUsed;\n',
  );
  const page = 'new Worker(new URL("./worker.js", import.meta.url), { type: "module" });\n';
  writeFileSync(join(folder, "page.js"), page);
  const result = await build({
    root: folder,
    configFile: false,
    logLevel: "silent",
    plugins: [mtacVite({ types: false })],
    build: { write: false, rolldownOptions: { input: join(folder, "page.js") } },
  });
  if (!("output" in result)) throw new Error("Vite gives no output");
  const worker = result.output.find(({ fileName }) => fileName.includes("worker"));
  if (worker?.type !== "asset") throw new Error("there is no worker");
  expect(String(worker.source)).toContain("used.attention.wgsl");
  expect(String(worker.source)).not.toContain("unused.");
});
