import type { KernelVariant } from "../contract/expand.ts";
import { uniformBytes } from "../contract/launch.ts";
import { place } from "../contract/messages.ts";
import type { KernelPlan } from "../contract/plan.ts";
import { SHADER_STAGE_COMPUTE } from "./constants.ts";
import { waitFor } from "./device-state.ts";
import { GpuError } from "./errors.ts";

/** A compiled kernel variant and the layout of its bindings. */
export interface CompiledKernel {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

interface DeviceCache {
  readonly modules: Map<string, Promise<GPUShaderModule>>;
  readonly layouts: Map<string, GPUBindGroupLayout>;
  readonly kernels: Map<string, Promise<CompiledKernel>>;
}

const caches = new WeakMap<GPUDevice, DeviceCache>();

function cacheOf(device: GPUDevice): DeviceCache {
  let cache = caches.get(device);
  if (cache === undefined) {
    cache = { modules: new Map(), layouts: new Map(), kernels: new Map() };
    caches.set(device, cache);
  }
  return cache;
}

/**
 * Compiles a kernel variant, once per device, however many callers ask at the same time; a failure is forgotten, so
 * that the next call tries again.
 *
 * @throws GpuError MTA705 (device lost), MTA713 (the WGSL does not compile), MTA714 (the pipeline cannot be made).
 */
export function compileKernel(
  device: GPUDevice,
  variant: KernelVariant,
  source: string,
): Promise<CompiledKernel> {
  const { kernel, constants } = variant;
  const key = `${kernel.entryPoint}\n${JSON.stringify(constants)}\n${JSON.stringify(kernel.bindings)}\n${source}`;
  return once(cacheOf(device).kernels, key, () => makeKernel(device, kernel, constants, source));
}

function once<T>(cache: Map<string, Promise<T>>, key: string, make: () => Promise<T>): Promise<T> {
  const known = cache.get(key);
  if (known !== undefined) return known;
  const made = make();
  cache.set(key, made);
  made.catch(() => cache.delete(key));
  return made;
}

async function makeKernel(
  device: GPUDevice,
  kernel: KernelPlan,
  constants: Readonly<Record<string, number>>,
  source: string,
): Promise<CompiledKernel> {
  const module = await once(cacheOf(device).modules, source, () => makeModule(device, kernel, source));
  const layout = bindGroupLayout(device, kernel);
  const descriptor: GPUComputePipelineDescriptor = {
    label: kernel.name,
    layout: device.createPipelineLayout({ label: kernel.name, bindGroupLayouts: [layout] }),
    compute: { module, entryPoint: kernel.entryPoint, constants: { ...constants } },
  };
  try {
    return { pipeline: await waitFor(device, device.createComputePipelineAsync(descriptor)), layout };
  } catch (cause) {
    if (cause instanceof GpuError) throw cause;
    const reason = cause instanceof Error ? cause.message.trim() : String(cause);
    const overrides = Object.entries(constants).map(([name, value]) => `${name} = ${value}`);
    throw new GpuError(
      "MTA714",
      `no pipeline could be made${place(kernel.name, kernel.source)}: ${reason}` +
        (overrides.length === 0 ? "" : `\noverride constants: ${overrides.join(", ")}`),
      { kernel: kernel.name, source: kernel.source, cause },
    );
  }
}

async function makeModule(device: GPUDevice, kernel: KernelPlan, source: string): Promise<GPUShaderModule> {
  device.pushErrorScope("validation");
  const module = device.createShaderModule({ label: kernel.name, code: source });
  const error = await waitFor(device, device.popErrorScope());
  if (error === null) return module;
  const info = await waitFor(device, module.getCompilationInfo());
  const message = info.messages.find(({ type }) => type === "error");
  if (message === undefined) {
    throw new GpuError(
      "MTA713",
      `the kernel does not compile${place(kernel.name, kernel.source)}: ${error.message}`,
      {
        kernel: kernel.name,
        source: kernel.source,
        cause: error,
      },
    );
  }
  const { lineNum, linePos } = message;
  const at = lineNum > 0 ? `${kernel.file}:${lineNum}:${linePos}` : kernel.file;
  throw new GpuError(
    "MTA713",
    `the kernel does not compile${place(kernel.name, kernel.source)}: ${at}: ${message.message}\n${codeFrame(source, message)}`,
    { kernel: kernel.name, source: kernel.source, cause: error },
  );
}

/** The line that a message is about, with two lines before it and a marker below. */
function codeFrame(source: string, { lineNum, linePos, length }: GPUCompilationMessage): string {
  const lines = source.split("\n");
  if (lineNum < 1 || lineNum > lines.length) return "";
  const first = Math.max(1, lineNum - 2);
  const width = String(lineNum).length;
  const shown = lines
    .slice(first - 1, lineNum)
    .map((text, index) => `${String(first + index).padStart(width)} | ${text}`);
  const room = Math.max(1, (lines[lineNum - 1] ?? "").length - linePos + 1);
  const marker = "^".repeat(Math.min(Math.max(length, 1), room));
  return [...shown, `${" ".repeat(width)} | ${" ".repeat(Math.max(linePos - 1, 0))}${marker}`].join("\n");
}

/** Explicit, so that all variants share it, and because the uniform block's offset differs from dispatch to dispatch. */
function bindGroupLayout(device: GPUDevice, kernel: KernelPlan): GPUBindGroupLayout {
  const { layouts } = cacheOf(device);
  const block = uniformBytes(kernel.launch);
  const key = `${block} ${kernel.bindings.map(({ binding, access }) => `${binding}:${access}`).join(",")}`;
  let layout = layouts.get(key);
  if (layout === undefined) {
    const entries = kernel.bindings.map(({ binding, access }) => ({
      binding,
      visibility: SHADER_STAGE_COMPUTE,
      buffer: bufferLayout(access, block),
    }));
    layout = device.createBindGroupLayout({ label: kernel.name, entries });
    layouts.set(key, layout);
  }
  return layout;
}

function bufferLayout(access: "uniform" | "read" | "read_write", block: number): GPUBufferBindingLayout {
  switch (access) {
    case "uniform":
      return { type: "uniform", hasDynamicOffset: true, minBindingSize: block };
    case "read":
      return { type: "read-only-storage" };
    case "read_write":
      return { type: "storage" };
  }
}
