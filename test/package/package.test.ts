import { execFileSync, spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { publint } from "publint";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findNvcc } from "../cuda/harness.ts";

// The package as users get it: packed, installed into an empty project, used from there.

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const require = createRequire(import.meta.url);

const nvcc = await findNvcc();

/** What a user installs beside mtac; linked from here, so that the test needs no registry. Not koffi: few need it. */
const PEERS = [
  "ts-morph",
  "@ts-morph/common",
  "webgpu",
  "@sparticuz/chromium",
  "typescript",
  "@webgpu/types",
  "@types/node",
];

const SPEC = `
attention constructor { heads 2 head_dim 8 scores { conv 2x3 } output { norm depth_scale } }
attention plain { heads 2 head_dim 8 mask causal lengths }
stack model { layers 2 use constructor at 0 use plain otherwise }
`;

const PROGRAM = `
import { download, requestDevice, upload } from "mtac/runtime";
import { openNodeGpu } from "mtac/runtime/node";
import { type ConstructorParameters, createConstructor, initParameters } from "./emitted/constructor.js";
import * as model from "./emitted/model.js";
import { type PlainInputs } from "./emitted/plain.js";

const { adapter } = await openNodeGpu();
const device = await requestDevice(adapter);
const tensor = () => upload(device, { shape: [1, 2, 4, 8], data: Float32Array.from({ length: 64 }, (_, i) => Math.sin(i)) }, "f32");
const inputs = { q: tensor(), k: tensor(), v: tensor() };

const parameters: ConstructorParameters = initParameters(7);
const shape: readonly [2, 1, 2, 3] = parameters["scores.conv.weight"].shape;
const launcher = await createConstructor(device, parameters);
const { o, lse } = await launcher.forward({ ...inputs, layer: 0 });

await launcher.prepare({ B: 1, Lq: 4, Lk: 4 });
const encoder = device.createCommandEncoder();
const call = launcher.encode(encoder, { ...inputs, layer: 0 });
device.queue.submit([encoder.finish()]);
call.release();

const stack = await model.create(device, model.initParameters(1));
const lengths = upload(device, { shape: [1], data: Int32Array.of(3) }, "i32");
const plain: PlainInputs = { ...inputs, lengths };
const first = await stack.layers[0].forward(inputs);
await stack.layers[1].forward(plain);

const same = async (x: typeof o, y: typeof o) => String(await download(device, x)) === String(await download(device, y));
console.log(JSON.stringify({
  shape, o: o.shape, lse: lse?.shape ?? null,
  encoded: await same(o, call.o), layered: await same(o, first.o),
}));
stack.destroy();
launcher.destroy();
device.destroy();

// @ts-expect-error the mask reads no documents
void (() => launcher.forward({ ...inputs, layer: 0, documents: lengths }));
// @ts-expect-error depth_scale needs the layer
void (() => launcher.forward(inputs));
// @ts-expect-error the stack knows the layer
void (() => stack.layers[0].forward({ ...inputs, layer: 0 }));
// @ts-expect-error the shape is wrong
void (() => createConstructor(device, { ...parameters, "scores.conv.weight": { shape: [2, 1, 3, 2], data: new Float32Array(12) } }));
`;

/** The same on the emulated CUDA device. */
const CUDA_PROGRAM = `
import { referenceForward } from "mtac/reference";
import { type CudaTensor, download, openEmulatedCuda, release, upload } from "mtac/runtime/cuda";
import { type ConstructorParameters, createConstructor, initParameters } from "./emitted/constructor.cuda.js";
import { pipeline } from "./emitted/constructor.cuda.kernels.js";
import * as model from "./emitted/model.cuda.js";
import { type PlainInputs } from "./emitted/plain.cuda.js";

const device = await openEmulatedCuda();
const host = { shape: [1, 2, 4, 8], data: Float64Array.from({ length: 64 }, (_, i) => Math.fround(Math.sin(i))) };
const tensor = () => upload(device, host, "f32");
const inputs = { q: tensor(), k: tensor(), v: tensor() };

const parameters: ConstructorParameters = initParameters(7);
const shape: readonly [2, 1, 2, 3] = parameters["scores.conv.weight"].shape;
const launcher = await createConstructor(device, parameters);
await launcher.prepare({ B: 1, Lq: 4, Lk: 4 });
const { o, lse, statistics } = await launcher.forward({ ...inputs, layer: 0 });
const { wallMs } = await launcher.time({ ...inputs, layer: 0 }, { repeats: 2 });

const stack = await model.create(device, model.initParameters(1));
const lengths = upload(device, { shape: [1], data: Int32Array.of(3) }, "i32");
const plain: PlainInputs = { ...inputs, lengths };
const first = await stack.layers[0].forward(inputs);
await stack.layers[1].forward(plain);

const values = new Map(
  Object.entries(parameters).map(([name, { shape, data }]) => [name, { shape, data: Float64Array.from(data) }]),
);
const expected = referenceForward(pipeline, values, { q: host, k: host, v: host, layer: 0 });
const actual = await download(device, o);
const error = Math.max(...expected.o.data.map((value, index) => Math.abs(value - (actual[index] ?? Number.NaN))));

const same = async (x: CudaTensor, y: CudaTensor) => String(await download(device, x)) === String(await download(device, y));
console.log(JSON.stringify({
  shape, o: o.shape, lse: lse?.shape ?? null, agrees: error < 1e-5,
  layered: await same(o, first.o), timed: wallMs.length, counted: (statistics.counters?.blocks ?? 0) > 0,
}));
release(device, o);
stack.destroy();
launcher.destroy();
await device.close();

// @ts-expect-error the mask reads no documents
void (() => launcher.forward({ ...inputs, layer: 0, documents: lengths }));
// @ts-expect-error the shape is wrong
void (() => createConstructor(device, { ...parameters, "scores.conv.weight": { shape: [2, 1, 3, 2], data: new Float32Array(12) } }));
`;

const LIBRARY = `
import { attention, compile, conv, type Compilation, type Diagnostic, mix, stack } from "mtac";

const large = attention("large", { heads: 16, headDim: 96, scores: [conv("6x11"), mix(16)] });
const model = stack("model", { layers: 2, use: [{ attention: large, otherwise: true }] });
export const compiled: Promise<Compilation> = compile([large, model]);
export const warnings: Promise<readonly Diagnostic[]> = compiled.then(({ diagnostics }) => diagnostics);
`;

const TSCONFIG = {
  compilerOptions: {
    target: "ES2022",
    module: "NodeNext",
    lib: ["ES2022", "DOM"],
    // WebGPU's types come with mtac.
    types: ["node"],
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    noImplicitOverride: true,
    noUnusedLocals: true,
    noUnusedParameters: true,
    isolatedModules: true,
    // TypeScript's own declarations, that is; mtac's are checked.
    skipDefaultLibCheck: true,
    verbatimModuleSyntax: true,
    outDir: "built",
  },
  include: ["*.ts", "emitted/*.ts", "mta_830m.mtac/*.ts", "mta_300m.mtac/*.ts"],
};

const folder = mkdtempSync(join(tmpdir(), "mtac-package-"));
const installed = join(folder, "node_modules/mtac");
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function node(args: readonly string[], cwd = folder) {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd,
    encoding: "utf8",
    timeout: 120_000,
  });
  return { code: status, stdout, stderr };
}

let tarball = "";

beforeAll(() => {
  const [npm, ...prefix] = npmCommand();
  const packed = execFileSync(
    npm,
    [...prefix, "pack", "--ignore-scripts", "--json", "--pack-destination", folder],
    {
      cwd: ROOT,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    },
  );
  const [{ filename }]: [{ filename: string }] = JSON.parse(packed);
  mkdirSync(installed, { recursive: true });
  tarball = join(folder, filename);
  execFileSync("tar", ["xzf", tarball, "--strip-components=1", "-C", installed]);
  for (const name of PEERS) link(name);
  writeFileSync(
    join(folder, "package.json"),
    JSON.stringify({ name: "user", type: "module", private: true }),
  );
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(TSCONFIG));
  writeFileSync(join(folder, "spec.mta"), SPEC);
  writeFileSync(join(folder, "program.ts"), PROGRAM);
  writeFileSync(join(folder, "cuda.ts"), CUDA_PROGRAM);
  writeFileSync(join(folder, "library.ts"), LIBRARY);
});

/** npm by its own file where npm runs this: a shell's `npm` is a script on some systems. */
function npmCommand(): readonly [string, ...string[]] {
  const { npm_execpath: path } = process.env;
  return path?.endsWith(".js") === true ? [process.execPath, path] : ["npm"];
}

function link(name: string): void {
  const target = join(folder, "node_modules", name);
  mkdirSync(dirname(target), { recursive: true });
  symlinkSync(join(ROOT, "node_modules", name), target);
}

describe("the packed package", () => {
  test("holds what is needed and nothing else", () => {
    const manifest: unknown = JSON.parse(readFileSync(join(installed, "package.json"), "utf8"));
    expect(manifest).toMatchObject({ bin: { mtac: "./dist/cli/main.js" } });
    const top = execFileSync("ls", [installed], { encoding: "utf8" }).trim().split("\n");
    expect(top.sort()).toEqual([
      "CHANGELOG.md",
      "LICENSE",
      "README.md",
      "dist",
      "docs",
      "package.json",
      "runtime",
      "templates",
    ]);
    // What packages for PyTorch are made of.
    expect(readdirSync(join(installed, "runtime"))).toEqual(["python"]);
    const docs = readdirSync(join(installed, "docs"), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ name }) => name);
    expect(docs.filter((name) => !/\.(?:md|png|svg)$/.test(name))).toEqual([]);
  });

  test("README's pictures and paths are in it", () => {
    const readme = readFileSync(join(installed, "README.md"), "utf8");
    const paths = [...readme.matchAll(/\]\(([^)#\s]+)/g)].map(([, path = ""]) => path);
    const local = paths.filter((path) => !/^https?:/.test(path));
    expect(local).toContain("docs/pictures/playground-maps.png");
    expect(local.filter((path) => !existsSync(join(installed, path)))).toEqual([]);
  });

  test("installing it runs nothing", () => {
    const manifest: { scripts: Record<string, string> } = JSON.parse(
      readFileSync(join(installed, "package.json"), "utf8"),
    );
    // What npm, or a project that it asks first, counts as scripts of an installation. A checkout is built by `dependencies`.
    const installing = [
      "preinstall",
      "install",
      "postinstall",
      "prepublish",
      "preprepare",
      "prepare",
      "postprepare",
    ];
    expect(Object.keys(manifest.scripts).filter((name) => installing.includes(name))).toEqual([]);
  });

  test("publint and Are The Types Wrong find nothing", async () => {
    const { messages } = await publint({ pkgDir: installed, strict: true, pack: false });
    expect(messages).toEqual([]);
    const attw = join(dirname(require.resolve("@arethetypeswrong/cli/package.json")), "dist/index.js");
    // Imported only: Node 20.19 and bundlers need no CommonJS.
    const { stdout, code } = node([attw, tarball, "--profile", "esm-only", "--no-color"]);
    expect(code, stdout).toBe(0);
  });

  test("checks and explains specs, without any other package", () => {
    const alone = mkdtempSync(join(tmpdir(), "mtac-alone-"));
    afterAll(() => rmSync(alone, { recursive: true, force: true }));
    cpSync(installed, join(alone, "mtac"), { recursive: true });
    const main = join(alone, "mtac/dist/cli/main.js");
    expect(node([main, "check", "spec.mta"])).toMatchObject({ code: 0 });
    expect(node([main, "explain", "spec.mta"])).toMatchObject({ code: 0, stderr: "" });
    expect(node([main, "compile", "spec.mta", "--out", "alone"])).toMatchObject({ code: 0, stderr: "" });
    writeFileSync(join(folder, "built.ts"), "export default [];\n");
    const built = node([main, "check", "built.ts"]);
    expect(built.stderr).toContain("MTA907");
    expect(built.stderr).toContain("npm install --save-dev ts-morph");
    expect(built.code).toBe(2);
    const kernels = node([main, "compile", "spec.mta", "--no-launcher", "--out", "kernels"]);
    expect(kernels).toMatchObject({ code: 0, stderr: "" });
    expect(readdirSync(join(folder, "kernels")).filter((name) => name.endsWith(".ts"))).toEqual([]);
    const ran = node([main, "verify", "spec.mta", "--name", "plain", "--target", "webgpu"]);
    expect(ran.stderr).toContain("MTA702");
    const packages = "npm install webgpu@0.6.2 @sparticuz/chromium@147.0.0";
    if (process.platform === "linux" && process.arch === "x64") expect(ran.stderr).toContain(packages);
    expect(ran.code).toBe(3);
  });

  test("emits launchers that type-check in a strict project", () => {
    const compile = (...args: readonly string[]) =>
      node([join(installed, "dist/cli/main.js"), "compile", ...args]);
    expect(compile("spec.mta", "--out", "emitted")).toMatchObject({ code: 0 });
    // The examples are users' programs too.
    const example = join(ROOT, "examples/mta_830m.mta");
    expect(compile(example, "--out", "mta_830m.mtac")).toMatchObject({ code: 0 });
    const cuda = [join(ROOT, "examples/mta_300m.mta"), "--name", "mta_300m", "--target", "cuda"];
    expect(compile(...cuda, "--out", "mta_300m.mtac")).toMatchObject({ code: 0 });
    cpSync(join(ROOT, "examples/node/main.ts"), join(folder, "example.ts"));
    cpSync(join(ROOT, "examples/node/cuda.ts"), join(folder, "example-cuda.ts"));
    const checked = node([require.resolve("typescript/lib/tsc.js"), "-p", "."]);
    expect(checked.stdout).toBe("");
    expect(checked.code).toBe(0);
    const bundled = ["--module", "esnext", "--moduleResolution", "bundler", "--noEmit"];
    expect(node([require.resolve("typescript/lib/tsc.js"), "-p", ".", ...bundled])).toMatchObject({
      stdout: "",
      code: 0,
    });
  });

  // What follows runs what the test above built.
  test("emits launchers that run on WebGPU", () => {
    const { stdout, stderr, code } = node(["built/program.js"]);
    // Vulkan drivers print warnings of their own: only the exit code and the result count.
    expect(code, stderr).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      shape: [2, 1, 2, 3],
      o: [1, 2, 4, 8],
      lse: [1, 2, 4],
      encoded: true,
      layered: true,
    });
  });

  test.skipIf(nvcc === null)("emits launchers that run on the emulated CUDA device", () => {
    const { stdout, stderr, code } = node(["built/cuda.js"]);
    expect(code, stderr).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      shape: [2, 1, 2, 3],
      o: [1, 2, 4, 8],
      lse: [1, 2, 4],
      agrees: true,
      layered: true,
      timed: 2,
      counted: true,
    });
  });

  test.skipIf(nvcc === null)("the example for CUDA agrees with the reference", () => {
    // No koffi here: the example turns to the emulated device.
    const { stdout, stderr, code } = node(["built/example-cuda.js"]);
    expect(code, stderr).toBe(0);
    expect(stdout).toContain("no GPU: the package koffi");
    expect(stdout).toMatch(/emulated sm_80.*passed/s);
  });

  test("imports the CUDA runtime without koffi, and says that a GPU needs it", () => {
    const script = `
      import { openCuda } from "mtac/runtime/cuda";
      const error = await openCuda().catch((error) => error);
      console.log(JSON.stringify([error.code, error.remedy]));
    `;
    writeFileSync(join(folder, "no-koffi.mjs"), script);
    const { stdout, stderr } = node(["no-koffi.mjs"]);
    expect(stderr).toBe("");
    expect(JSON.parse(stdout)).toEqual(["MTA802", expect.stringContaining("npm install koffi")]);
  });

  test("compiles in process, as a library", () => {
    const script = `
      import { analyse, compile, attention, conv, SpecError } from "mtac";
      const text = await compile("attention a { heads 1 head_dim 4 }");
      const built = await compile(attention("a", { heads: 1, headDim: 4, scores: [conv("2x3")] }));
      const failed = await compile("attention a { heads 0 }").catch((error) => error);
      console.log(JSON.stringify([text.artifacts.length, "a.ts" in built.files, failed instanceof SpecError, failed.diagnostics.length > 0]));
    `;
    writeFileSync(join(folder, "library.mjs"), script);
    const { stdout, stderr } = node(["library.mjs"]);
    expect(stderr).toBe("");
    expect(JSON.parse(stdout)).toEqual([1, true, true, true]);
  });

  test("an error that nobody catches is read without scrolling: Node shows the line that threw", () => {
    writeFileSync(
      join(folder, "throws.mjs"),
      'import { openBrowserGpu } from "mtac/runtime"; await openBrowserGpu();',
    );
    const { stderr } = node(["throws.mjs"]);
    expect(stderr).toContain("MTA707");
    expect(stderr.length).toBeLessThan(3000);
  });
});
