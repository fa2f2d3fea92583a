import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { checkSource } from "../../compiler/compile/checked-source.ts";
import { compileKernels } from "../../compiler/compile/kernels.ts";
import { cudaArtifact } from "../../compiler/python/cuda.ts";
import { emitPythonPackage } from "../../compiler/python/index.ts";
import { passesOf } from "../../compiler/python/passes.ts";
import { callVariables, expandPlan } from "../../runtime/contract/expand.ts";
import type { Artifact, DeviceStorage, KernelPlan, Pipeline, Plan } from "../../runtime/contract/index.ts";
import { kernelArguments } from "../../runtime/contract/kernel-arguments.ts";
import { contiguousStrides, spanBytes } from "../../runtime/contract/layout.ts";
import { usesLayer } from "../../runtime/contract/pipeline.ts";
import { INPUT_TENSORS, shapeOf, tensorExists, VALUES } from "../../runtime/contract/resources.ts";
import type { StorageType } from "../../runtime/contract/storage.ts";
import { type CudaDevice, type CudaTensor, createCudaLauncher, openCuda } from "../../runtime/cuda/index.ts";
import type { GradientKey } from "../../runtime/launcher/gradients.ts";
import { driverDouble, temporaryFolder } from "../cuda-runtime/doubles.ts";
import { PythonServer, writeFiles } from "./python.ts";

// What packages launch on CUDA devices, beside what the TypeScript launcher does for the same call: a stand-in for the driver writes
// down modules, kernels, grids, streams and the bytes of all arguments, in both processes. They are equal but for addresses, and these
// agree in which of a call's arguments point to the same place.

const double = driverDouble();
const folder = temporaryFolder();
const server = new PythonServer(folder, "cuda_calls.py", { MTAC_LIBCUDA: double.path });
afterAll(() => server.close());

type Layout = "contiguous" | "transposed" | "sliced" | "broadcast";

interface Size {
  readonly B: number;
  readonly Lq: number;
  readonly Lk: number;
  readonly R: number;
}

interface Example {
  readonly size: Size;
  readonly positions?: boolean;
  /** Whether the call drops weights, where the attention does. */
  readonly drops?: boolean;
  readonly layouts?: Readonly<Partial<Record<string, Layout>>>;
  /** Whether all entries of the batch have one bias. */
  readonly sharedBias?: true;
  readonly wanted?: readonly GradientKey[];
  /** Without it the forward pass keeps what the output's stages are given. */
  readonly keeps?: false;
}

const ALL: readonly GradientKey[] = ["dQ", "dK", "dV", "dParameters", "dQHistory", "dBias"];

const EXAMPLES: readonly Example[] = [
  { size: { B: 2, Lq: 70, Lk: 70, R: 0 } },
  // The same shape and strides, though of a bias that has one entry.
  { size: { B: 2, Lq: 70, Lk: 70, R: 0 }, sharedBias: true },
  // The same shape again, though the backward pass computes again what the output's stages are given.
  { size: { B: 2, Lq: 70, Lk: 70, R: 0 }, keeps: false },
  // The same shape once more, with other strides.
  {
    size: { B: 2, Lq: 70, Lk: 70, R: 0 },
    layouts: { q: "transposed", k: "sliced", v: "transposed", d_o: "broadcast" },
    wanted: ["dK"],
  },
  { size: { B: 1, Lq: 1, Lk: 77, R: 5 }, layouts: { q_history: "transposed" } },
  { size: { B: 2, Lq: 9, Lk: 40, R: 3 }, positions: true, wanted: ["dQ", "dQHistory", "dParameters"] },
  { size: { B: 1, Lq: 700, Lk: 700, R: 0 }, layouts: { d_o: "transposed" }, wanted: ["dQ", "dBias"] },
  { size: { B: 2, Lq: 70, Lk: 80, R: 3 }, drops: true },
  { size: { B: 2, Lq: 70, Lk: 80, R: 3 }, drops: true, layouts: { k: "sliced" }, wanted: ["dV"] },
];

function stridesOf(shape: readonly number[], layout: Layout): readonly number[] {
  const [, heads = 1, rows = 1, columns = 1] = shape;
  switch (layout) {
    case "contiguous":
      return contiguousStrides(shape);
    case "transposed":
      return [rows * heads * columns, columns, heads * columns, 1];
    case "sliced":
      return contiguousStrides([...shape.slice(0, -1), 3 * columns]);
    case "broadcast":
      return [0, 0, 0, 1];
  }
}

interface Tensor {
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  readonly storage: DeviceStorage;
}

/** The tensors of a call, by name. */
function tensorsOf(pipeline: Pipeline, storage: StorageType, example: Example): ReadonlyMap<string, Tensor> {
  const { size, positions = false, drops = false, layouts = {}, sharedBias = false } = example;
  const isGiven = (name: string): boolean => {
    if (name === "positions") return positions;
    if (name === "dropout_seed") return drops;
    return name !== "q_history" || size.R > 0;
  };
  const tensors = new Map<string, Tensor>();
  const add = (name: string, shape: readonly number[], element: DeviceStorage): void => {
    const strides = stridesOf(shape, layouts[name] ?? "contiguous");
    tensors.set(name, { shape, strides, storage: element });
  };
  for (const tensor of INPUT_TENSORS) {
    const { name, axes, element } = tensor;
    if (!isGiven(name) || !tensorExists(pipeline, tensor)) continue;
    const shape = shapeOf(pipeline, axes, size);
    const own = name === "bias" && sharedBias ? [1, ...shape.slice(1)] : shape;
    add(name, own, element === "storage" ? storage : element);
  }
  add("d_o", [size.B, pipeline.heads, size.Lq, pipeline.valueDim], storage);
  return tensors;
}

/** A module of a plan's kernels, as the driver's stand-in reads it. */
function imageOf(kernels: readonly KernelPlan[]): string {
  const lines = kernels.map((kernel) => {
    const list = kernelArguments(kernel).list.map(({ resource, bytes }) =>
      resource === null ? `v${bytes}` : "p",
    );
    return `kernel ${kernel.entryPoint} static=0 threads=1024 params=${list.join(",")}`;
  });
  return ["MTAC-DOUBLE", ...lines].join("\n");
}

function imagesOf(artifact: Artifact): ReadonlyMap<string, string> {
  const plans = Object.values(passesOf(artifact)).flat();
  return new Map(plans.map(({ kernels }) => [kernels[0]?.file ?? "", imageOf(kernels)]));
}

/** What was written down, addresses by the order in which a call first names them, and the stream as `S`. */
function recorded(file: string): string[] {
  const places = new Map<string, number>();
  const streams = new Set<string>();
  const lines = readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line.startsWith("launch "))
    .map((line) =>
      line
        .replace(/stream (\w+)/, (_, stream: string) => {
          streams.add(stream);
          return "stream S";
        })
        .replace(/@(\w+)/g, (_, address: string) => {
          if (address === "0") return "null";
          places.set(address, places.get(address) ?? places.size);
          return `@${places.get(address)}`;
        }),
    );
  expect(streams.size).toBe(1);
  expect(streams.has("0")).toBe(false);
  return lines;
}

function setUp(file: string): string[] {
  return readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => /^(module|shared) /.test(line));
}

interface Said {
  readonly error?: string;
  readonly violations: string;
  readonly workspace: Readonly<
    Record<
      "forward" | "backward",
      { readonly bytes: number; readonly pieces: readonly [string, number, number][] }
    >
  >;
}

const EVERYTHING = `attention everything {
  heads 4 kv_heads 2 head_dim 16 value_dim 32 mask causal lengths bias normalize sparsemax
  scores { conv 3x5 softcap 20 } weights { mix 2 } output { norm depth_scale gate channel }
}`;

const SPECS: Readonly<Record<string, string>> = {
  mta_830m: readFileSync("examples/mta_830m.mta", "utf8").replace(/mask( +)causal/, "mask$1causal documents"),
  mta_toy: readFileSync("examples/mta_toy.mta", "utf8"),
  grouped_window: readFileSync("examples/grouped_window.mta", "utf8"),
  everything: EVERYTHING,
  dropping:
    "attention dropping { heads 4 head_dim 32 mask causal scores { conv 3x5 } weights { dropout 0.1 mix 2 } }",
  bare: "attention bare { heads 2 head_dim 8 mask none }",
};

describe.each(Object.keys(SPECS))("%s", (name) => {
  const { spec } = checkSource(SPECS[name] ?? "", `${name}.mta`);
  const compiled = compileKernels(spec, { targets: ["cpu"], names: [name] });
  const [pipeline] = compiled.pipelines;
  if (pipeline === undefined) throw new Error(`no attention ${name}`);
  const place = join(folder, name);
  writeFiles(place, emitPythonPackage([pipeline], [], compiled.provenance));

  test.each(["f32", "f16", "bf16"] as const)("%s: the same launches", async (storage) => {
    double.reset();
    const device = await openCuda({ driver: double.path, compiler: "images" });
    try {
      await compare(device, pipeline, storage, place);
    } finally {
      await device.close();
    }
    expect(double.violations()).toEqual([]);
  });
});

async function compare(
  device: CudaDevice,
  pipeline: Pipeline,
  storage: StorageType,
  place: string,
): Promise<void> {
  const own = cudaArtifact(pipeline, storage);
  const images = imagesOf(own);
  const artifact: Artifact = {
    ...own,
    images: [...images].map(([file, text]) => ({
      architecture: "sm_80",
      kind: "cubin",
      file,
      data: Buffer.from(text).toString("base64"),
    })),
  };
  const [ours, theirs] = [join(place, "typescript"), join(place, "python")];
  const values = pipeline.parameters.map(({ name, shape }): [string, Float32Array] => [
    name,
    new Float32Array(shape.reduce((a, b) => a * b, 1)),
  ]);
  double.record(ours);
  const launcher = await createCudaLauncher(device, artifact, new Map(values));
  const layer = usesLayer(pipeline) ? 3 : undefined;
  const passes = passesOf(artifact);
  const loaded = new Set<boolean>();
  for (const example of EXAMPLES) {
    const tensors = tensorsOf(pipeline, storage, example);
    const inputs = new Map([...tensors].map(([name, tensor]) => [name, allocated(device, tensor)]));
    const wanted = (example.wanted ?? ALL).filter((key) => key !== "dBias" || tensors.has("bias"));
    const keeps = example.keeps ?? true;
    const call = {
      q: of(inputs, "q"),
      k: of(inputs, "k"),
      v: of(inputs, "v"),
      ...optional(inputs),
      ...(layer === undefined ? {} : { layer }),
    };
    if (keeps) {
      const { saved } = await launcher.forward(call, { save: true });
      double.record(`${ours}.backward`);
      await launcher.backward(saved, of(inputs, "d_o"), { wanted });
    } else await launcher.forward(call);
    double.record("");

    const words = pipeline.parameters.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
    const said: Said = JSON.parse(
      await server.ask({
        folder: place,
        package: pipeline.name,
        constant: `${pipeline.name.toUpperCase()}_ATTENTION`,
        storage,
        layer: layer ?? null,
        record: theirs,
        images: Object.fromEntries(
          [...images].map(([file, text]) => [
            file.replace(pipeline.name, `${pipeline.name}.${storage}`),
            text,
          ]),
        ),
        tensors: {
          ...Object.fromEntries(tensors),
          parameters: { shape: [words], strides: [1], storage: "f32" },
        },
        wanted: ALL.map((key) => wanted.includes(key)),
        keep: keeps,
      }),
    );
    expect(said.error).toBeUndefined();
    expect(said.violations).toBe("");
    for (const [suffix, direction, plans] of [
      ["", "forward", passes[tensors.has("dropout_seed") ? "dropout_forward" : "forward"]],
      [".backward", "backward", passes[tensors.has("dropout_seed") ? "dropout_backward" : "backward"]],
    ] as const) {
      const launches = recorded(`${theirs}${suffix}`);
      expect(launches.length).toBeGreaterThan(0);
      // The TypeScript launcher always keeps what a backward pass can take.
      if (keeps || direction === "forward") expect(launches).toEqual(recorded(`${ours}${suffix}`));
      // The device has chosen one of them.
      const plan = plans.find(({ kernels }) =>
        launches.every((line) => kernels.some(({ entryPoint }) => line.startsWith(`launch ${entryPoint} `))),
      );
      if (plan === undefined) throw new Error(`the artifact has no plan for ${direction}`);
      const dispatches = checkWorkspace(said.workspace[direction], plan, example, tensors, wanted);
      expect(launches).toHaveLength(dispatches);
    }
    if (!loaded.has(tensors.has("dropout_seed"))) {
      loaded.add(tensors.has("dropout_seed"));
      // Loaded once, by the first call of a kind; what a kernel may use of shared memory, TypeScript asks for before its first launch.
      const setUps = (file: string): string[] => [...setUp(file), ...setUp(`${file}.backward`)].sort();
      expect(setUps(theirs)).toEqual(setUps(ours));
    } else expect([...setUp(theirs), ...setUp(`${theirs}.backward`)]).toEqual([]);
    double.record(ours);
  }
  double.record("");
}

/**
 * The workspace has the plan's buffers but those that the call brings, and what is computed though nobody wants it, apart from each other. Gives
 * the number of the plan's launches.
 */
function checkWorkspace(
  { bytes, pieces }: Said["workspace"]["forward"],
  plan: Plan,
  { size, positions = false, keeps }: Example,
  tensors: ReadonlyMap<string, Tensor>,
  wanted: readonly GradientKey[],
): number {
  const dBias = wanted.includes("dBias") ? tensors.get("bias")?.shape : undefined;
  const valuesKept = keeps !== false && tensorExists(plan.pipeline, VALUES);
  const call = { ...size, positions, dBias, valuesKept };
  expect(callVariables(plan, call)).toBeDefined();
  const { workspace: all, dispatches } = expandPlan(plan, call);
  const workspace = all.filter(({ name }) => !valuesKept || name !== VALUES.name);
  expect(pieces.slice(0, workspace.length).map(([name, , length]) => ({ name, bytes: length }))).toEqual(
    workspace,
  );
  let end = 0;
  for (const [, offset, length] of pieces) {
    expect(offset).toBeGreaterThanOrEqual(end);
    expect(offset % 256).toBe(0);
    end = offset + length;
  }
  expect(bytes).toBeGreaterThanOrEqual(end);
  return dispatches.length;
}

function allocated(device: CudaDevice, tensor: Tensor): CudaTensor {
  const { address } = device.allocate(Math.max(spanBytes(tensor), 16), "input");
  return { ...tensor, address };
}

function of(inputs: ReadonlyMap<string, CudaTensor>, name: string): CudaTensor {
  const tensor = inputs.get(name);
  if (tensor === undefined) throw new Error(`the call lacks ${name}`);
  return tensor;
}

function optional(inputs: ReadonlyMap<string, CudaTensor>): Readonly<Record<string, CudaTensor>> {
  return Object.fromEntries(
    INPUT_TENSORS.flatMap(({ name, key }) => {
      const tensor = inputs.get(name);
      return tensor === undefined || ["q", "k", "v"].includes(name) ? [] : [[key, tensor]];
    }),
  );
}
