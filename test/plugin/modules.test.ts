import { readFileSync } from "node:fs";
import { originalPositionFor, TraceMap } from "@jridgewell/trace-mapping";
import { describe, expect, test } from "vitest";
import { buildSpec } from "../../compiler/plugin/build-spec.ts";
import { ModuleCache } from "../../compiler/plugin/cache.ts";
import { facadeModule, hotFacadeModule } from "../../compiler/plugin/facade.ts";
import { parseId } from "../../compiler/plugin/module-id.ts";
import { type PluginOptions, pluginSettings } from "../../compiler/plugin/options.ts";
import type { SpecBuild } from "../../compiler/plugin/spec-modules.ts";

const FIXTURE = readFileSync(new URL("fixture/spec.mta", import.meta.url), "utf8");
const ONE = "attention mta_830m { heads 2 head_dim 8 scores { conv 2x3 } }";

function build(text: string, options: PluginOptions = {}, file = "/folder/spec.mta", hot = false) {
  return buildSpec(text, file, pluginSettings(options), { hot }, new ModuleCache(null));
}

function codeOf({ modules }: SpecBuild, part: string): string {
  return modules[part]?.code ?? "";
}

describe("ids", () => {
  test("a spec and its parts are modules; other queries ask for the file", () => {
    expect(parseId("/a/spec.mta")).toEqual({ file: "/a/spec.mta", part: null });
    expect(parseId("/a/spec.mta?mtac=x.kernels")).toEqual({ file: "/a/spec.mta", part: "x.kernels" });
    expect(parseId("/a/spec.mta?import&t=17&mtac=x")).toEqual({ file: "/a/spec.mta", part: "x" });
    expect(parseId("/a/spec.mta?t=17")).toEqual({ file: "/a/spec.mta", part: null });
    for (const id of ["/a/spec.mta?raw", "/a/spec.mta?url", "/a/spec.mta.d.ts", "/a/spec.mta?mtac=../x"])
      expect(parseId(id), id).toBeNull();
  });
});

describe("the module of a spec", () => {
  test("has names of its own for each attention and stack, no short ones for several", async () => {
    const { build: built } = await build(FIXTURE);
    const facade = facadeModule(built.contents);
    expect(facade).toContain('export { create as createUsed } from "./spec.mta?mtac=used";');
    expect(facade).toContain('export { UnusedLauncher } from "./spec.mta?mtac=unused";');
    expect(facade).toContain('export { initParameters as initPairParameters } from "./spec.mta?mtac=pair";');
    expect(facade).toContain('export { pipeline as usedPipeline } from "./spec.mta?mtac=used.kernels";');
    expect(facade).not.toContain("export { create }");
    expect(Object.keys(built.modules).sort()).toEqual([
      "pair",
      "unused",
      "unused.kernels",
      "used",
      "used.kernels",
    ]);
    expect(codeOf(built, "pair")).toContain('import * as usedModule from "./spec.mta?mtac=used";');
  });

  test("has short names, too, where it has one attention", async () => {
    const facade = facadeModule((await build(ONE)).build.contents);
    for (const name of ["createMta830m", "Mta830mLauncher", "initMta830mParameters", "mta830mPipeline"])
      expect(facade).toContain(name);
    for (const name of ["create", "initParameters", "pipeline"])
      expect(facade).toMatch(new RegExp(`export \\{ ${name} \\} from`));
  });

  test("takes its runtime from elsewhere while Vite serves it", async () => {
    const { build: cold } = await build(ONE);
    const { build: hot } = await build(ONE, {}, "/folder/spec.mta", true);
    expect(codeOf(cold, "mta_830m")).toContain('from "mtac/runtime";');
    expect(codeOf(hot, "mta_830m")).toContain('from "mtac/runtime/hot";');
    expect(facadeModule(cold.contents)).not.toContain("hot");
    expect(hotFacadeModule(hot.contents, "src/spec.mta", "mtac/runtime/hot")).toContain(
      "import.meta.hot.accept()",
    );
  });

  test("tells stacks apart by the kernels of their layers", async () => {
    const stackOf = async (text: string) => (await build(text)).build.contents.stacks[0]?.digest;
    const spec = (second: string): string =>
      `attention a { heads 2 head_dim 8 } attention b { heads 2 head_dim ${second} } stack s { layers 2 use a at 0 use b otherwise }`;
    // Layers of equal attentions have the same module.
    expect(await stackOf(spec("8"))).not.toBe(await stackOf(spec("16")));
    expect(await stackOf(spec("16"))).toBe(await stackOf(spec("24")));
  });

  test("launches on CUDA devices where that is asked for", async () => {
    const { build: built } = await build(ONE, { target: "cuda" });
    expect(Object.keys(built.modules).sort()).toEqual(["mta_830m.cuda", "mta_830m.cuda.kernels"]);
    expect(codeOf(built, "mta_830m.cuda")).toContain('from "mtac/runtime/cuda";');
    expect(facadeModule(built.contents)).toContain('from "./spec.mta?mtac=mta_830m.cuda.kernels"');
    expect(built.declarations).toContain('from "mtac/runtime/cuda"');
  });

  test("computes on the processor in pages where that is asked for", async () => {
    const { build: built } = await build(ONE, { target: "wasm" });
    expect(Object.keys(built.modules).sort()).toEqual(["mta_830m.cpu", "mta_830m.cpu.kernels"]);
    expect(codeOf(built, "mta_830m.cpu")).toContain('from "mtac/runtime/wasm";');
    expect(built.declarations).toContain('from "mtac/runtime/wasm"');
    const { build: hot } = await build(ONE, { target: "wasm" }, "/folder/spec.mta", true);
    expect(codeOf(hot, "mta_830m.cpu")).toContain('from "mtac/runtime/hot/wasm";');
  });

  test("lets a page choose, which loads the kernels of its choice only", async () => {
    const { build: built } = await build(FIXTURE, { target: "auto" });
    expect(Object.keys(built.modules).sort()).toEqual([
      "pair.auto",
      "unused.auto",
      "unused.auto.kernels",
      "unused.cpu.kernels",
      "unused.kernels",
      "used.auto",
      "used.auto.kernels",
      "used.cpu.kernels",
      "used.kernels",
    ]);
    expect(codeOf(built, "used.auto")).toContain('from "mtac/runtime/auto";');
    const choice = codeOf(built, "used.auto.kernels");
    expect(choice).toContain('webgpu: () => import("./spec.mta?mtac=used.kernels")');
    expect(choice).toContain('wasm: () => import("./spec.mta?mtac=used.cpu.kernels")');
    expect(choice).not.toMatch(/^import /m);
    expect(built.modules["used.kernels"]?.map).not.toBeNull();
    expect(built.declarations).toContain('from "mtac/runtime/auto"');
    expect(built.declarations).not.toContain("encode(");
    const facade = hotFacadeModule(built.contents, "src/spec.mta", "mtac/runtime/hot/auto");
    expect(facade).toContain('import { publish } from "mtac/runtime/hot/auto";');
    expect(facade).toContain('from "./spec.mta?mtac=used.auto.kernels"');
  });

  test("tells a page's choices apart by their kernels, as hot reload must", async () => {
    const digestOf = async (text: string) =>
      /digest: "(\w+)"/.exec(codeOf((await build(text, { target: "auto" })).build, "a.auto.kernels"))?.[1];
    const spec = (mask: string): string => `attention a { heads 2 head_dim 8 mask ${mask} }`;
    expect(await digestOf(spec("causal"))).toBe(await digestOf(spec("causal")));
    expect(await digestOf(spec("causal"))).not.toBe(await digestOf(spec("none")));
  });

  test("is the same wherever the spec lies, and follows its options", async () => {
    const { build: here } = await build(FIXTURE);
    expect((await build(FIXTURE, {}, "/elsewhere/spec.mta")).build).toEqual(here);
    expect(JSON.stringify(here)).not.toContain("/folder");
    const { build: staged } = await build(FIXTURE, { schedule: "staged" });
    expect(codeOf(staged, "used.kernels")).toContain('schedule: "staged"');
    expect(codeOf(here, "used.kernels")).not.toBe(codeOf(staged, "used.kernels"));
  });

  test("survives names of files that would end a comment or a string", async () => {
    const file = `/folder/a"\`\${globalThis.pwned = 1}\nglobalThis.pwned = 1; //</script>*/.mta`;
    const { build: built } = await build(ONE, {}, file);
    const kernels = codeOf(built, "mta_830m.kernels");
    expect(kernels).not.toMatch(/^globalThis/m);
    await import(`data:text/javascript,${encodeURIComponent(kernels)}`);
    expect(facadeModule(built.contents)).not.toMatch(/^globalThis/m);
    expect(built.declarations).not.toMatch(/^globalThis/m);
    expect("pwned" in globalThis).toBe(false);
  });
});

describe("source maps", () => {
  test("lead from each line of a kernel to the line of the spec", async () => {
    const { build: built } = await build(FIXTURE);
    const { code, map } = built.modules["used.kernels"] ?? { code: "", map: null };
    if (map === null) throw new Error("the kernels have no map");
    expect(map.sources).toEqual(["spec.mta"]);
    expect(map.sourcesContent).toEqual([FIXTURE]);
    const trace = new TraceMap({ ...map, names: [] });
    const lines = code.split("\n");
    const originOf = (text: string): number | null => {
      const index = lines.findIndex((line) => line.includes(text));
      expect(index, text).toBeGreaterThanOrEqual(0);
      return originalPositionFor(trace, { line: index + 1, column: (lines[index] ?? "").indexOf(text) }).line;
    };
    expect(originOf("// used: attention (spec.mta:2)")).toBe(2);
    expect(originOf("fn dot_block(")).toBe(2);
    expect(originOf("fn scores_conv(")).toBe(5);
    expect(originOf("// scores.conv (line 5), conv 2x3")).toBe(5);
    expect(originOf("export const artifact")).toBeNull();
  });
});

describe("options", () => {
  test("a target is named by each of its names", () => {
    const targets = ["webgpu", "wgsl", "cuda", "cpu", "wasm", "auto"] as const;
    expect(targets.map((target) => pluginSettings({ target }).target)).toEqual([
      "webgpu",
      "webgpu",
      "cuda",
      "cpu",
      "wasm",
      "auto",
    ]);
  });

  test.each([
    [{ lenght: 5 }, "there is no option `lenght`"],
    [{ length: 0 }, "`length` is 0"],
    [{ schedule: "fast" }, '`schedule` is "fast"'],
    [{ tuned: "no" }, '`tuned` is "no"'],
    [{ types: null }, "`types` is null"],
    [null, "options are null"],
    [{ target: "metal" }, '`target` is "metal"'],
    [{ target: "reference" }, '`target` is "reference"'],
  ])("%j is refused", (options, message) => {
    const refused: PluginOptions = JSON.parse(JSON.stringify(options));
    expect(() => pluginSettings(refused)).toThrow(message);
    expect(() => pluginSettings(refused)).toThrow(expect.objectContaining({ code: "MTA960", kind: "usage" }));
  });
});
