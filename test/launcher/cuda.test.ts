import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { afterAll, describe, expect, test } from "vitest";
import { compileChecked } from "../../compiler/compile/compile.ts";
import { CUDA_FLAVOUR, emitAttentionFiles } from "../../compiler/emit/launcher/index.ts";
import { resolve } from "../../compiler/ir/index.ts";
import { analyse, type CheckedSpec } from "../../compiler/language/index.ts";
import type { Float64Tensor, HostTensor, Pipeline } from "../../runtime/contract/index.ts";
import { type CudaDevice, openEmulatedCuda, randomParameters } from "../../runtime/cuda/index.ts";
import { referenceForward } from "../../runtime/reference/index.ts";
import { findNvcc } from "../cuda/harness.ts";
import { Random } from "../support/random.ts";
import { disagreement } from "../support/trial.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const nvcc = await findNvcc();

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function specOf(source: string): CheckedSpec {
  const { spec } = analyse(source, "folder/spec.mta");
  if (spec === null) throw new Error("the test's spec is wrong");
  return spec;
}

function filesOf(source: string, targets?: readonly ("wgsl" | "cuda")[]): Readonly<Record<string, string>> {
  return compileChecked(specOf(source), targets === undefined ? {} : { targets }).files;
}

const SPEC = `
attention shaped { heads 2 head_dim 8 scores { conv 2x3 } output { norm depth_scale } }
attention plain { heads 2 head_dim 8 mask causal lengths }
stack model { layers 2 use shaped at 0 use plain otherwise }`;

describe("files", () => {
  const files = filesOf(SPEC);

  test("an attention gives launcher, kernels and plans; a stack its launcher", () => {
    const launchers = Object.keys(files).filter((name) => /\.cuda\./.test(name));
    expect(launchers.sort()).toEqual([
      "model.cuda.ts",
      "plain.cuda.kernels.ts",
      "plain.cuda.plan.json",
      "plain.cuda.ts",
      "shaped.cuda.kernels.ts",
      "shaped.cuda.plan.json",
      "shaped.cuda.ts",
    ]);
  });

  test("are the same whether or not there are WebGPU's", () => {
    const alone = filesOf(SPEC, ["cuda"]);
    expect(Object.keys(alone)).not.toContain("shaped.ts");
    expect(files).toMatchObject(alone);
    expect(files).toMatchObject(filesOf(SPEC, ["wgsl"]));
  });

  test("neither runtime's modules import the other's", () => {
    const importsOf = (suffix: RegExp): ReadonlySet<string> =>
      new Set(
        Object.entries(files)
          .filter(([name]) => suffix.test(name))
          .flatMap(([, text]) => ts.preProcessFile(text, true, true).importedFiles)
          .map(({ fileName }) => fileName),
      );
    const ofCuda = importsOf(/\.cuda(\.kernels)?\.ts$/);
    const ofWebGpu = importsOf(/^\w+(\.kernels)?\.ts$/);
    expect([...ofCuda].filter((name) => !name.includes("cuda"))).toEqual([]);
    expect([...ofWebGpu].filter((name) => name.includes("cuda"))).toEqual([]);
    expect(ofCuda).toContain("mtac/runtime/cuda");
    expect(ofWebGpu).toContain("mtac/runtime");
  });

  test("hold no line that is longer than a formatter's", () => {
    const long = Object.entries(files)
      .filter(([name]) => /\.cuda\.ts$/.test(name))
      .flatMap(([, text]) => text.split("\n").filter((line) => line.length > 120));
    expect(long).toEqual([]);
  });

  test("name the spec without its folder, and leave out what only emitters read", () => {
    expect(files["shaped.cuda.ts"]).toContain("attention shaped, from spec.mta:2.");
    expect(files["shaped.cuda.kernels.ts"]).not.toContain("program:");
    expect(files["shaped.cuda.kernels.ts"]).not.toContain("images:");
  });
});

test("compiled kernels lie in the module as base64", () => {
  const [attention] = specOf("attention a { heads 1 head_dim 4 }").attentions;
  if (attention === undefined) throw new Error("the test's spec is wrong");
  const image = { architecture: "sm_90", kind: "cubin", file: "a.cu" } as const;
  const artifact = {
    name: "a",
    plans: [],
    sources: {},
    images: [
      { ...image, data: Uint8Array.of(0, 1, 255) },
      { ...image, kind: "ptx", architecture: "sm_80", data: "dGV4dA==" },
    ],
  } as const;
  const files = emitAttentionFiles(
    { pipeline: resolve(attention, "a.mta"), artifact },
    { version: "1", spec: "a.mta" },
    CUDA_FLAVOUR,
  );
  expect(files["a.cuda.kernels.ts"]).toContain(
    `  images: [
    { architecture: "sm_90", kind: "cubin", file: "a.cu", data: "AAH/" },
    { architecture: "sm_80", kind: "ptx", file: "a.cu", data: "dGV4dA==" },
  ],
};`,
  );
});

/** Writes emitted files and programs into a folder of their own. */
function writeModules(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), "mtac-launcher-"));
  folders.push(folder);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

/** What a strict type checker finds in a folder's modules, as `file: message`. */
function typeFaults(folder: string, modules: readonly string[]): readonly string[] {
  const program = ts.createProgram({
    rootNames: modules.map((name) => join(folder, name)),
    options: {
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.NodeNext,
      lib: ["lib.es2023.d.ts", "lib.dom.d.ts"],
      types: ["node"],
      typeRoots: [join(ROOT, "node_modules/@types")],
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      noUnusedLocals: true,
      noUnusedParameters: true,
      skipLibCheck: true,
      allowImportingTsExtensions: true,
      noEmit: true,
      paths: {
        "mtac/runtime": [join(ROOT, "runtime/index.ts")],
        "mtac/runtime/cuda": [join(ROOT, "runtime/cuda/index.ts")],
      },
    },
  });
  return program
    .getSourceFiles()
    .filter(({ fileName }) => fileName.startsWith(folder))
    .flatMap((file) => [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)])
    .map(
      ({ file, messageText }) => `${file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, "\n")}`,
    );
}

const USES = `
import type { CudaDevice, CudaTensor, Timing } from "mtac/runtime/cuda";
import { createCuda, type CudaLauncher } from "./cuda.cuda.js";
import * as model from "./model.cuda.js";
import { create, initParameters, type ShapedInputs, type ShapedLauncher, type ShapedParameters } from "./shaped.cuda.js";
import * as plain from "./plain.cuda.js";
import type { ShapedParameters as OnWebGpu } from "./shaped.js";

export async function use(device: CudaDevice, tensor: CudaTensor): Promise<Timing> {
  const parameters: ShapedParameters = initParameters(7);
  const shape: readonly [2, 1, 2, 3] = parameters["scores.conv.weight"].shape;
  const elsewhere: OnWebGpu = parameters;
  const back: ShapedParameters = elsewhere;
  const launcher: ShapedLauncher = await create(device, back, { timestamps: true, synchronous: true });
  const tensors = { q: tensor, k: tensor, v: tensor };
  const inputs: ShapedInputs = { ...tensors, layer: shape[3], qHistory: tensor };
  await launcher.prepare({ B: 1, Lq: 4, Lk: 4 });
  await launcher.forward(inputs, { o: tensor });
  launcher.setParameters({ "output.norm.weight": { shape: [8], data: new Float32Array(8) } });
  const again: ShapedLauncher = await launcher.rebuild(device);
  again.destroy();
  const named: CudaLauncher = await createCuda(device);
  named.destroy();
  await plain.create(device, plain.initParameters());
  const stack = await model.create(device, model.initParameters(1));
  await stack.layers[0].forward(tensors);
  await stack.layers[1].forward({ ...tensors, lengths: tensor });
  stack.destroy();

  // @ts-expect-error a parameter is missing
  await create(device, { "scores.conv.weight": parameters["scores.conv.weight"] });
  // @ts-expect-error the shape is wrong
  await create(device, { ...parameters, "scores.conv.weight": { shape: [2, 1, 3, 2], data: new Float32Array(12) } });
  // @ts-expect-error parameters are f32
  await create(device, { ...parameters, "output.norm.weight": { shape: [8], data: new Float64Array(8) } });
  // @ts-expect-error there is no such parameter
  launcher.setParameters({ "output.norm.bias": parameters["output.norm.weight"] });
  // @ts-expect-error depth_scale needs the layer
  await launcher.forward(tensors);
  // @ts-expect-error the stack knows the layer
  await stack.layers[0].forward({ ...tensors, layer: 0 });
  // @ts-expect-error the mask needs lengths
  await stack.layers[1].forward(tensors);
  // @ts-expect-error the mask reads no documents
  await launcher.forward({ ...inputs, documents: tensor });
  // @ts-expect-error a stack of two layers
  stack.layers[2];
  // @ts-expect-error a tensor of WebGPU
  await launcher.forward({ ...inputs, q: { buffer: {}, shape: [], strides: [], storage: "f32" } });
  // @ts-expect-error commands are WebGPU's
  launcher.encode;
  return launcher.time(inputs, { repeats: 3 });
}
`;

/** What types know of tensors, with the launchers of a target for H = 4, Hkv = 2, D = 8 in f16. */
function tensorUses(runtime: string, device: string, tensor: string, suffix: string): string {
  return `
import { allocate, type ${tensor}, upload } from "${runtime}";
import { create, initParameters } from "./half${suffix}.js";
import * as sparse from "./sparse${suffix}.js";
${device === "GPUDevice" ? "" : `import type { ${device} } from "${runtime}";`}

export async function use(device: ${device}, unknown: ${tensor}, L: number, heads: number): Promise<readonly number[]> {
  const launcher = await create(device, initParameters(1));
  const data = new Float32Array(L * 32);
  const bits = new Uint16Array(L * 16);
  const q = upload(device, { shape: [1, 4, L, 8], data }, "f16");
  const k = upload(device, { shape: [1, 2, L, 8], data: bits }, "f16");
  const { o, lse } = await launcher.forward({ q, k, v: k });
  // It is never null: softmax has one.
  const rows: readonly number[] = lse.shape;
  // Sizes, storage and tensors that types do not know go with everything.
  await launcher.forward({ q: upload(device, { shape: [1, heads, L, 8], data }, "f16"), k: unknown, v: k });
  await launcher.forward({ q: o, k, v: { ...k, shape: [1, 2, L, 8] } });
  const dynamic: readonly number[] = [1, heads, L, 8];
  await launcher.forward({ q: allocate(device, dynamic, "f16"), k, v: k });
  o.destroy();
  {
    using scratch = allocate(device, [1, 4, L, 8], "f16");
    await launcher.forward({ q: scratch, k, v: k });
  }

  // @ts-expect-error two heads for four
  await launcher.forward({ q: k, k, v: k });
  // @ts-expect-error f32 for f16
  await launcher.forward({ q: upload(device, { shape: [1, 4, L, 8], data }, "f32"), k, v: k });
  // @ts-expect-error another width, and a number of heads that types do not know
  await launcher.forward({ q: upload(device, { shape: [1, heads, L, 16], data }, "f16"), k, v: k });
  // @ts-expect-error three axes
  await launcher.forward({ q: upload(device, { shape: [4, L, 8], data }, "f16"), k, v: k });
  // @ts-expect-error positions are integers
  await launcher.forward({ q, k, v: k, positions: upload(device, { shape: [1], data }, "f32") });
  // @ts-expect-error there is no such storage
  upload(device, { shape: [1], data }, "float16");
  // @ts-expect-error sparsemax has no lse
  (await (await sparse.create(device)).forward({ q, k, v: k })).lse.shape;
  return rows;
}
`;
}

test("types know storage and sizes of tensors, and which results there are", () => {
  const files = filesOf(`attention half { heads 4 kv_heads 2 head_dim 8 dtype f16 scores { conv 2x3 } }
    attention sparse { heads 4 kv_heads 2 head_dim 8 dtype f16 normalize sparsemax }`);
  const programs = {
    "gpu.ts": tensorUses("mtac/runtime", "GPUDevice", "DeviceTensor", ""),
    "cuda.ts": tensorUses("mtac/runtime/cuda", "CudaDevice", "CudaTensor", ".cuda"),
  };
  expect(typeFaults(writeModules({ ...files, ...programs }), Object.keys(programs))).toEqual([]);
});

test("types hold what the spec says, and nothing else", () => {
  // An attention called "cuda" exports a CudaLauncher, as the runtime does.
  const files = filesOf(`attention cuda { heads 1 head_dim 4 } ${SPEC}`);
  expect(typeFaults(writeModules({ ...files, "uses.ts": USES }), ["uses.ts"])).toEqual([]);
});

/** A program over the toy's launchers; all that it gets and gives lies on the host. */
const PROGRAM = `
import { type CudaDevice, download, type HostTensor, release, upload } from "mtac/runtime/cuda";
import { create, initParameters, type MtaToyParameters } from "./mta_toy.cuda.js";
import { pipeline } from "./mta_toy.cuda.kernels.js";
import * as model from "./mta_toy_model.cuda.js";

export { initParameters, pipeline };

export async function run(device: CudaDevice, values: ReadonlyMap<string, HostTensor>, tensors: Record<"q" | "k" | "v", HostTensor>) {
  const initial = initParameters(1);
  const parameters: MtaToyParameters = {
    "scores.conv.weight": {
      shape: initial["scores.conv.weight"].shape,
      data: Float32Array.from(values.get("scores.conv.weight")?.data ?? []),
    },
  };
  const q = upload(device, tensors.q, "f32");
  const k = upload(device, tensors.k, "f32");
  const v = upload(device, tensors.v, "f32");
  const launcher = await create(device, initial);
  await launcher.prepare({ B: 1, Lq: 20, Lk: 20 });
  const plain = await launcher.forward({ q, k, v });
  launcher.setParameters(parameters);
  const { o, lse, statistics } = await launcher.forward({ q, k, v });
  const timing = await launcher.time({ q, k, v }, { repeats: 1 });
  // Layer 2 of the stack is this attention, with parameters of its own.
  const [first, second, , last] = model.initParameters(1);
  const stack = await model.create(device, [first, second, parameters, last]);
  const layered = await stack.layers[2].forward({ q, k, v });
  const results = {
    initial: await download(device, plain.o),
    o: await download(device, o),
    lse: lse === null ? null : await download(device, lse),
    layered: await download(device, layered.o),
    runs: timing.wallMs.length,
    kernels: statistics.kernels,
  };
  for (const tensor of [q, k, v, o, plain.o, layered.o]) release(device, tensor);
  stack.destroy();
  launcher.destroy();
  return results;
}
`;

interface Run {
  readonly initial: Float32Array;
  readonly o: Float32Array;
  readonly lse: Float32Array;
  readonly layered: Float32Array;
  readonly runs: number;
  readonly kernels: number;
}

interface Program {
  readonly pipeline: Pipeline;
  initParameters(seed: number): Readonly<Record<string, Float64Tensor & { readonly data: Float32Array }>>;
  run(
    device: CudaDevice,
    parameters: ReadonlyMap<string, HostTensor>,
    tensors: Record<"q" | "k" | "v", HostTensor>,
  ): Promise<Run>;
}

function inFloat64({ shape, data }: HostTensor): Float64Tensor {
  return { shape, data: Float64Array.from(data) };
}

describe("the toy's launchers", () => {
  const spec = specOf(readFileSync(join(ROOT, "examples/mta_toy.mta"), "utf8"));
  const { files } = compileChecked(spec, { targets: ["cuda"] });

  test("suit a strict project", () => {
    expect(typeFaults(writeModules({ ...files, "program.ts": PROGRAM }), ["program.ts"])).toEqual([]);
  });

  test.skipIf(nvcc === null)("run on the emulated device and agree with the reference", async () => {
    const entries = Object.entries({ ...files, "program.ts": PROGRAM })
      .filter(([name]) => name.endsWith(".ts"))
      .map(([name, text]) => [
        name,
        text.replaceAll('"mtac/runtime/cuda"', JSON.stringify(join(ROOT, "runtime/cuda/index.ts"))),
      ]);
    const folder = writeModules(Object.fromEntries(entries));
    const program: Program = await import(join(folder, "program.ts"));
    const { pipeline } = program;
    const random = new Random(5);
    const draw = (): HostTensor => ({
      shape: [1, 2, 20, 128],
      data: Float32Array.from(random.normals(2 * 20 * 128)),
    });
    const tensors = { q: draw(), k: draw(), v: draw() };
    const parameters = randomParameters(pipeline, 3);
    const device = await openEmulatedCuda();
    try {
      const results = await program.run(device, parameters, tensors);
      const inputs = { q: inFloat64(tensors.q), k: inFloat64(tensors.k), v: inFloat64(tensors.v) };
      const expected = (values: Iterable<readonly [string, HostTensor]>) =>
        referenceForward(
          pipeline,
          new Map([...values].map(([name, value]) => [name, inFloat64(value)])),
          inputs,
        );
      const drawn = expected(parameters);
      expect(disagreement(pipeline, results, drawn, 1)).toBeNull();
      expect(results.layered).toEqual(results.o);
      const { o } = expected(Object.entries(program.initParameters(1)));
      expect(disagreement(pipeline, { o: results.initial, lse: null }, { o, lse: null }, 1)).toBeNull();
      expect(results).toMatchObject({ runs: 1, kernels: expect.any(Number) });
    } finally {
      await device.close();
    }
  });
});
