// Runs under Deno, whose WebGPU is wgpu with naga: a second implementation and a second WGSL compiler. The cases come
// from a JSON file; compiler and runtime are the built ones. Prints a line for each case and ends with
// "N passed, N failed".
//
//   deno run -A --unstable-webgpu test/deno/main.ts [cases.json]
import { existsSync, readdirSync, readFileSync } from "node:fs";
import process from "node:process";
import type { AttentionInputs, Float64Tensor, Pipeline } from "../../runtime/contract/index.ts";
import type { Artifact, Schedule } from "../../runtime/contract/plan.ts";
import type { DeviceStorage, DeviceTensor } from "../../runtime/index.ts";
import { parseSafetensors, toFloat64Tensor } from "../../runtime/safetensors/index.ts";

type Storage = Pipeline["storage"];

/** `vectors` runs official cases in every legal schedule, `kernels` compiles emitted WGSL files. */
type Case =
  | {
      readonly kind: "vectors";
      readonly cases: "all" | readonly string[];
      readonly storage: Storage;
      readonly native: boolean;
    }
  | { readonly kind: "kernels"; readonly folder: string };

const ROOT = new URL("../../", import.meta.url);

// By address: what is built has its types from the sources.
const compiler: typeof import("../../compiler/index.ts") = await import(
  new URL("dist/compiler/index.js", ROOT).href
);
const runtime: typeof import("../../runtime/index.ts") = await import(
  new URL("dist/runtime/index.js", ROOT).href
);
const reference: typeof import("../../runtime/reference/index.ts") = await import(
  new URL("dist/runtime/reference.js", ROOT).href
);
const TOLERANCE: Readonly<Record<Storage, number>> = { f32: 5e-6, f16: 2e-3, bf16: 1e-2 };

let passed = 0;
let failed = 0;

function report(name: string, problem: string | null, detail = ""): void {
  if (problem === null) passed++;
  else failed++;
  console.log(
    `${problem === null ? "ok    " : "FAILED"} ${name}${detail === "" ? "" : `  ${detail}`}${problem === null ? "" : `: ${problem}`}`,
  );
}

/** The official vectors where they are at hand, else the subset in the repository. */
function vectorFolder(): URL {
  const all = new URL("../shared/vectors/", ROOT);
  return existsSync(new URL("index.json", all)) ? all : new URL("test/vectors/", ROOT);
}

function readCall(folder: URL, pipeline: Pipeline, layer: number | null) {
  const path = new URL("inputs.safetensors", folder);
  const tensors = new Map<string, Float64Tensor>();
  for (const [name, view] of parseSafetensors(readFileSync(path), path.pathname))
    tensors.set(name, toFloat64Tensor(name, view));
  const rounded = (name: string): Float64Tensor | undefined => {
    const tensor = tensors.get(name);
    return tensor && { shape: tensor.shape, data: compiler.roundTo(pipeline.storage, tensor.data) };
  };
  const required = (name: string): Float64Tensor => {
    const tensor = rounded(name);
    if (tensor === undefined) throw new Error(`${path.pathname} lacks ${name}`);
    return tensor;
  };
  const optional = <Key extends string>(
    key: Key,
    tensor: Float64Tensor | undefined,
  ): { [K in Key]?: Float64Tensor } => {
    const part: { [K in Key]?: Float64Tensor } = {};
    if (tensor !== undefined) part[key] = tensor;
    return part;
  };
  const inputs: AttentionInputs<Float64Tensor> = {
    q: required("q"),
    k: required("k"),
    v: required("v"),
    ...optional("qHistory", rounded("q_history")),
    ...optional("documents", tensors.get("documents")),
    ...optional("lengths", tensors.get("lengths")),
    ...optional("positions", tensors.get("positions")),
    ...optional("bias", tensors.get("bias")),
    ...(layer === null ? {} : { layer }),
  };
  const parameters = new Map<string, Float64Tensor>();
  for (const { name } of pipeline.parameters) {
    const tensor = tensors.get(name);
    if (tensor !== undefined) parameters.set(name, tensor);
  }
  return { inputs, parameters };
}

function relativeError(actual: ArrayLike<number>, expected: Float64Array): number {
  let difference = 0;
  let norm = 0;
  expected.forEach((value, index) => {
    const got = actual[index] ?? Number.NaN;
    if (got === value) {
      if (Number.isFinite(value)) norm += value ** 2;
      return;
    }
    difference += (got - value) ** 2;
    norm += value ** 2;
  });
  return difference === 0 ? 0 : Math.sqrt(difference / norm);
}

async function runCase(
  device: GPUDevice,
  folder: URL,
  name: string,
  storage: Storage,
  layer: number | null,
): Promise<void> {
  const text = readFileSync(new URL("spec.mta", folder), "utf8").replace(
    /\bhead_dim\b/,
    `dtype ${storage}\n  head_dim`,
  );
  const { spec } = compiler.analyse(text, "spec.mta");
  const attention = spec?.attentions[0];
  if (attention === undefined) return report(name, "the spec does not check");
  const pipeline = compiler.resolve(attention, "spec.mta");
  const { inputs, parameters } = readCall(folder, pipeline, layer);
  const { o: expected } = reference.referenceForward(pipeline, parameters, inputs);
  const limits = {
    workgroupBytes: device.limits.maxComputeWorkgroupStorageSize,
    invocations: device.limits.maxComputeInvocationsPerWorkgroup,
    storageBuffers: device.limits.maxStorageBuffersPerShaderStage,
    features: [...device.features].filter((feature) => feature === "shader-f16"),
  };
  // Logits of hundreds cost accuracy; semantics.md allows cases 29 to 31 ten times as much.
  const bound = TOLERANCE[storage] * (/^(29|30|31)_/.test(name) ? 10 : 1);
  for (const schedule of ["single_pass", "two_pass", "staged"] as const satisfies readonly Schedule[]) {
    const shape = { B: inputs.q.shape[0] ?? 1, Lq: inputs.q.shape[2] ?? 1, Lk: inputs.k.shape[2] ?? 1, R: 0 };
    const [best] = compiler.planCandidates(pipeline, { target: "webgpu", limits, shape, schedule });
    if (best === undefined || best.plan === null) continue;
    const label = `${name} ${best.plan.storage} ${schedule}`;
    try {
      const artifact = { name: pipeline.name, plans: [best.plan], sources: compiler.emitKernels(best.plan) };
      const error = relativeError(
        await forward(device, artifact, pipeline, parameters, inputs),
        expected.data,
      );
      report(
        label,
        error <= bound ? null : `error ${error.toExponential(1)} of at most ${bound}`,
        error.toExponential(1),
      );
    } catch (error) {
      report(label, error instanceof Error ? error.message : String(error));
    }
  }
}

async function forward(
  device: GPUDevice,
  artifact: Artifact,
  pipeline: Pipeline,
  parameters: ReadonlyMap<string, Float64Tensor>,
  inputs: AttentionInputs<Float64Tensor>,
): Promise<ArrayLike<number>> {
  const values = new Map<string, Float32Array>();
  for (const [name, { data }] of parameters) values.set(name, Float32Array.from(data));
  const launcher = await runtime.createLauncher(device, artifact, values);
  const put = ({ shape, data }: Float64Tensor, storage: DeviceStorage): DeviceTensor =>
    runtime.upload(device, { shape, data: storage === "i32" ? Int32Array.from(data) : data }, storage);
  const { storage } = pipeline;
  const { q, k, v, qHistory, documents, lengths, positions, bias, layer } = inputs;
  const { o } = await launcher.forward({
    q: put(q, storage),
    k: put(k, storage),
    v: put(v, storage),
    ...(qHistory === undefined ? {} : { qHistory: put(qHistory, storage) }),
    ...(documents === undefined ? {} : { documents: put(documents, "i32") }),
    ...(lengths === undefined ? {} : { lengths: put(lengths, "i32") }),
    ...(positions === undefined ? {} : { positions: put(positions, "i32") }),
    ...(bias === undefined ? {} : { bias: put(bias, "f32") }),
    ...(layer === undefined ? {} : { layer }),
  });
  const result = await runtime.download(device, o);
  launcher.destroy();
  return result;
}

async function compileKernels(device: GPUDevice, folder: URL): Promise<void> {
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) =>
    name.endsWith(".wgsl"),
  );
  if (files.length === 0) report(folder.pathname, "holds no kernels");
  for (const file of files.sort()) {
    const module = device.createShaderModule({ code: readFileSync(new URL(file, folder), "utf8") });
    const { messages } = await module.getCompilationInfo();
    const errors = messages.filter(({ type }) => type === "error");
    report(
      file,
      errors.length === 0
        ? null
        : errors.map(({ message, lineNum }) => `line ${lineNum}: ${message}`).join("; "),
    );
  }
}

interface IndexLine {
  readonly case: string;
  readonly layer: number | null;
}

const cases: readonly Case[] = JSON.parse(
  readFileSync(process.argv[2] ?? new URL("cases.json", import.meta.url), "utf8"),
);
const adapter = await navigator.gpu?.requestAdapter();
if (!adapter) {
  report("adapter", "Deno finds no WebGPU adapter: install mesa-vulkan-drivers and set XDG_RUNTIME_DIR");
} else {
  console.log(
    `adapter: ${adapter.info.description || adapter.info.device} (${[...adapter.features].includes("shader-f16") ? "with" : "without"} shader-f16)`,
  );
  const device = await runtime.requestDevice(adapter);
  const packed = await runtime.requestDevice((await navigator.gpu.requestAdapter()) ?? adapter, {
    withoutFeatures: ["shader-f16"],
  });
  for (const each of cases) {
    switch (each.kind) {
      case "kernels":
        await compileKernels(device, new URL(each.folder, ROOT));
        break;
      case "vectors": {
        if (each.native && !device.features.has("shader-f16")) {
          report("native f16", "the adapter has no shader-f16");
          break;
        }
        const folder = vectorFolder();
        const index: readonly IndexLine[] = JSON.parse(readFileSync(new URL("index.json", folder), "utf8"));
        for (const line of index) {
          if (each.cases !== "all" && !each.cases.includes(line.case)) continue;
          const on = each.native ? device : packed;
          await runCase(on, new URL(`${line.case}/`, folder), line.case, each.storage, line.layer);
        }
        break;
      }
    }
  }
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
