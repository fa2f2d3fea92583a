import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { mtac, ROOT, temporaryFolder } from "../cli/harness.ts";

const require = createRequire(import.meta.url);

/** A user's module: everything that a spec's types know, and what they must refuse. */
const USER = `
import type { DeviceTensor } from "mtac/runtime";
import {
  createPair, createUnused, createUsed, initPairParameters, initUsedParameters,
  type UsedInputs, type UsedLauncher, type UsedParameters, usedPipeline,
} from "./spec.mta";

declare const device: GPUDevice;
declare const tensor: DeviceTensor;
const inputs: UsedInputs = { q: tensor, k: tensor, v: tensor };
const parameters: UsedParameters = initUsedParameters(7);
const shape: readonly [2, 1, 2, 3] = parameters["scores.conv.weight"].shape;
const launcher: UsedLauncher = await createUsed(device, parameters, { timestamps: true });
const { o, lse } = await launcher.forward(inputs);
launcher.setParameters({ "scores.conv.weight": { shape, data: new Float32Array(12) } });
const heads: number = usedPipeline.heads;
const plain = await createUnused(device);
const stack = await createPair(device, initPairParameters(1));
const layer = await stack.layers[0].forward(inputs);
const encoded = launcher.encode(device.createCommandEncoder(), inputs);
const encodedLayer = stack.layers[0].encode(device.createCommandEncoder(), inputs);
// Softmax has them: nobody needs to ask.
const shapes: readonly (readonly number[])[] = [lse, layer.lse, encoded.lse, encodedLayer.lse].map((each) => each.shape);
encoded.lse.destroy();
export { heads, lse, o, plain, shapes };

// @ts-expect-error there is no such attention
import { createNone } from "./spec.mta";
// @ts-expect-error several attentions have no short names
import { create } from "./spec.mta";
// @ts-expect-error the parameter has another name
void (() => createUsed(device, { "scores.conv.weights": parameters["scores.conv.weight"] }));
// @ts-expect-error the parameter has another shape
void (() => createUsed(device, { "scores.conv.weight": { shape: [2, 1, 3, 2], data: new Float32Array(12) } }));
// @ts-expect-error the mask reads no documents
void (() => launcher.forward({ ...inputs, documents: tensor }));
// @ts-expect-error v is missing
void (() => launcher.forward({ q: tensor, k: tensor }));
// @ts-expect-error there are no parameters
void plain.setParameters;
// @ts-expect-error the stack has two layers
void stack.layers[2];
`;

const OPTIONS = {
  target: "ES2022",
  lib: ["ES2022", "DOM"],
  types: [],
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  // TypeScript's own declarations, that is; mtac's are checked.
  skipDefaultLibCheck: true,
  noEmit: true,
};

/** A project with the fixture's spec and mtac as it is built. */
function project(options: object): string {
  const folder = temporaryFolder();
  cpSync(join(ROOT, "test/plugin/fixture/spec.mta"), join(folder, "spec.mta"));
  mkdirSync(join(folder, "node_modules/@webgpu"), { recursive: true });
  symlinkSync(ROOT, join(folder, "node_modules/mtac"), "dir");
  symlinkSync(join(ROOT, "node_modules/@webgpu/types"), join(folder, "node_modules/@webgpu/types"), "dir");
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  writeFileSync(join(folder, "user.ts"), USER);
  writeFileSync(
    join(folder, "tsconfig.json"),
    JSON.stringify({ compilerOptions: { ...OPTIONS, ...options }, files: ["user.ts"] }),
  );
  return folder;
}

function typeCheck(folder: string): string {
  const { stdout } = spawnSync(process.execPath, [require.resolve("typescript/lib/tsc.js"), "-p", "."], {
    cwd: folder,
    encoding: "utf8",
  });
  return stdout;
}

describe("mtac types", () => {
  test("tells tsc what a spec's module holds, and what it does not", () => {
    const folder = project({ module: "ESNext", moduleResolution: "bundler" });
    expect(typeCheck(folder)).toContain("TS2307");
    const { code, stdout } = mtac(["types", "spec.mta"], { cwd: folder });
    expect([code, stdout]).toEqual([0, "✓ spec.mta.d.ts\n"]);
    expect(typeCheck(folder)).toBe("");
  });

  test("does so for NodeNext under another name", () => {
    const folder = project({ module: "NodeNext", allowArbitraryExtensions: true });
    expect(mtac(["types", "spec.mta", "--arbitrary-extensions"], { cwd: folder }).code).toBe(0);
    expect(readFileSync(join(folder, "spec.d.mta.ts"), "utf8")).toContain("createUsed");
    expect(typeCheck(folder)).toBe("");
  });

  test("has the name that the project's config gives to a build's", () => {
    const folder = project({});
    writeFileSync(join(folder, "mtac.config.ts"), 'export default { types: "arbitrary-extensions" };\n');
    expect(mtac(["types", "spec.mta"], { cwd: folder }).stdout).toBe("✓ spec.d.mta.ts\n");
    expect(() => statSync(join(folder, "spec.mta.d.ts"))).toThrow("ENOENT");
  });

  test("writes only what has changed, and says so; --check writes nothing", () => {
    const folder = project({});
    const file = join(folder, "spec.mta.d.ts");
    const types = (...flags: readonly string[]) => mtac(["types", "spec.mta", ...flags], { cwd: folder });
    expect(types("--check")).toMatchObject({ code: 1, stdout: "✗ spec.mta.d.ts is not up to date\n" });
    expect(() => statSync(file)).toThrow("ENOENT");
    types();
    const { mtimeMs, ino } = statSync(file);
    expect(types().stdout).toBe("✓ spec.mta.d.ts (unchanged)\n");
    expect(types("--check").code).toBe(0);
    expect(statSync(file)).toMatchObject({ mtimeMs, ino });
    writeFileSync(file, "// old");
    expect(types("--check").code).toBe(1);
    expect(readFileSync(file, "utf8")).toBe("// old");
    expect(JSON.parse(types("--json").stdout)).toEqual([
      { spec: "spec.mta", file: "spec.mta.d.ts", changed: true, diagnostics: [] },
    ]);
  });

  test("names the generator, not the machine; the same text wherever it is made", () => {
    const texts = [project({}), project({})].map((folder) => {
      mtac(["types", join(folder, "spec.mta")]);
      const text = readFileSync(join(folder, "spec.mta.d.ts"), "utf8");
      expect(text).not.toContain(folder);
      return text;
    });
    expect(texts[0]).toBe(texts[1]);
    expect(texts[0]).toMatch(
      /^\/\/ The types of spec\.mta\. Made by mtac [\d.]+ .*change the spec, not this file\.\n/,
    );
    expect((texts[0] ?? "").length).toBeLessThan(12_000);
  });

  test("reports a broken spec and keeps its old types", () => {
    const folder = project({});
    writeFileSync(join(folder, "spec.mta.d.ts"), "// old");
    writeFileSync(join(folder, "spec.mta"), "attention used { heads }");
    const { code, stdout, stderr } = mtac(["types", "spec.mta", "--json"], { cwd: folder });
    expect(code).toBe(1);
    expect(stderr).toContain("spec.mta:1:18: error MTA112");
    expect(JSON.parse(stdout)).toMatchObject([
      { changed: false, diagnostics: expect.arrayContaining([expect.objectContaining({ code: "MTA112" })]) },
    ]);
    expect(readFileSync(join(folder, "spec.mta.d.ts"), "utf8")).toBe("// old");
  });

  test("is for .mta files, and leaves others as they are", () => {
    expect(mtac(["types", "spec.ts"])).toMatchObject({ code: 2 });
    const folder = project({});
    writeFileSync(join(folder, "spec.txt"), "attention a { heads 1 head_dim 8 }");
    const { code } = mtac(["types", "spec.txt", "--arbitrary-extensions"], { cwd: folder });
    expect(code).toBe(2);
    expect(readFileSync(join(folder, "spec.txt"), "utf8")).toBe("attention a { heads 1 head_dim 8 }");
  });

  test("takes those of the config's specs that can be imported", () => {
    const folder = project({});
    writeFileSync(join(folder, "mtac.config.mjs"), 'export default { specs: ["other.ts", "spec.mta"] };\n');
    expect(mtac(["types"], { cwd: folder })).toMatchObject({ code: 0, stdout: "✓ spec.mta.d.ts\n" });
  });
});

describe("mtac explain --trace", () => {
  test("finds the spec's line of a kernel's line", () => {
    const folder = project({});
    mtac(["compile", "spec.mta", "--target", "wgsl", "--out", "out"], { cwd: folder });
    const kernel = readFileSync(join(folder, "out/used.attention.wgsl"), "utf8").split("\n");
    const line = kernel.findIndex((each) => each.includes("block = scores_conv(")) + 1;
    const trace = (...words: readonly string[]) =>
      mtac(["explain", "spec.mta", "--trace", ...words], { cwd: folder });
    const shown = trace(`out/used.attention.wgsl:${line}:7`);
    expect(shown.code).toBe(0);
    expect(shown.stdout).toMatch(
      /^spec\.mta:5 {2}scores \{ conv 2x3 \}\nout\/used\.attention\.wgsl:\d+ {2}block = /,
    );
    expect(JSON.parse(trace("out/used.attention.wgsl:1", "--json").stdout)).toMatchObject({
      line: 2,
      kernelLine: 1,
    });
    expect(trace("out/used.attention.wgsl")).toMatchObject({ code: 2 });
    expect(trace("out/used.attention.wgsl:99999").stderr).toContain(`it has ${kernel.length} lines`);
    expect(trace("spec.mta:1").stderr).toContain("MTA929");
    expect(trace("none.wgsl:1").stderr).toContain("MTA905");
  });
});
