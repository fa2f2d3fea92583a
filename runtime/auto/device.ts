import { describeValue } from "../contract/arguments.ts";
import { MtacError } from "../contract/errors.ts";
import type { CpuDevice } from "../cpu/device.ts";
import type { WasmOptions } from "../wasm/open.ts";
import type { BrowserGpuOptions } from "../webgpu/browser-gpu.ts";
import type { AutoKind, Runtime } from "./types.ts";

/** Which device `openDevice` opens, and how. */
export interface AutoOptions {
  /** Asks for one; if not given, WebGPU where the page has a GPU, else WebAssembly. */
  readonly kind?: AutoKind;
  /** How a GPU is opened. */
  readonly webgpu?: BrowserGpuOptions;
  /** How the processor is opened. */
  readonly wasm?: WasmOptions;
}

/** A GPU, or the processor: what a page has. Made by `openDevice`. */
export class AutoDevice {
  readonly kind: AutoKind;
  /** For people, for example `nvidia ampere`, or `WebAssembly with relaxed SIMD, 4 floats a vector, 8 threads`. */
  readonly description: string;
  /** Why WebGPU does not compute, where it does not: `this browser has no WebGPU`, for example; null where it was not asked for, or does. */
  readonly reason: string | null;
  /** What is loaded of the runtime. */
  readonly runtime: Runtime;

  constructor(runtime: Runtime, reason: string | null) {
    this.kind = runtime.kind;
    this.description = runtime.description;
    this.reason = reason;
    this.runtime = runtime;
  }

  /** The GPU, for what else a page does with it (`device.gpu.lost`, for example); null where the processor computes. */
  get gpu(): GPUDevice | null {
    return this.runtime.gpu;
  }

  /** The processor, whose library says how wide its vectors and how many its threads are; null where a GPU computes. */
  get cpu(): CpuDevice | null {
    return this.runtime.cpu;
  }

  /** Ends the device, and all that is on it. */
  close(): Promise<void> {
    return this.runtime.close();
  }
}

/**
 * Opens what a page can compute with: WebGPU where it has a GPU, else WebAssembly. A GPU that is the processor in disguise (a software adapter)
 * counts as none: WebAssembly is many times faster. Only the runtime that is chosen is loaded.
 *
 * ```ts
 * const device = await openDevice();
 * ```
 *
 * @throws CpuError MTA884, MTA885, MTA886: WebAssembly was chosen and cannot be used, as `openWasm`. GpuError, as `openBrowserGpu`, only
 * where `kind: "webgpu"` was asked for.
 */
export async function openDevice(options: AutoOptions = {}): Promise<AutoDevice> {
  if (options.kind === "webgpu") return new AutoDevice(await openGpu(options), null);
  const asked = options.kind === "wasm";
  let reason = asked ? null : await lackOfGpu(options);
  if (!asked && reason === null)
    try {
      return new AutoDevice(await openGpu(options), null);
    } catch (error) {
      if (!(error instanceof MtacError)) throw error;
      reason = error.message;
    }
  const { openRuntime } = await import("./wasm.ts");
  return new AutoDevice(await openRuntime(options.wasm), reason);
}

async function openGpu({ webgpu }: AutoOptions): Promise<Runtime> {
  const { openRuntime } = await import("./webgpu.ts");
  return openRuntime(webgpu);
}

/** Why there is no GPU, as far as it can be told before the runtime for it is loaded; null where there is one. */
async function lackOfGpu({ webgpu = {} }: AutoOptions): Promise<string | null> {
  // Typed as always there, which neither is: Node 20 has no navigator.
  const { navigator, isSecureContext }: { navigator?: { gpu?: GPU }; isSecureContext?: boolean } = globalThis;
  const gpu = navigator?.gpu;
  if (gpu === undefined || gpu === null)
    return isSecureContext === false
      ? "the page was not loaded over https, which WebGPU needs"
      : "this browser has no WebGPU";
  const { powerPreference = "high-performance" } = webgpu;
  const adapter = await gpu.requestAdapter({ powerPreference }).catch(() => null);
  if (adapter === null) return "this browser has WebGPU, but found no GPU that it can use";
  // Browsers of before 2025 do not say.
  return adapter.info.isFallbackAdapter === true ? "the GPU is a software one" : null;
}

/** @throws MtacError MTA619 */
export function checkAutoDevice(device: unknown): asserts device is AutoDevice {
  if (device instanceof AutoDevice) return;
  throw new MtacError("MTA619", "usage", `an AutoDevice is needed, not ${describeValue(device)}`, {
    remedy: "pass what openDevice() of mtac/runtime/auto gives, awaited",
  });
}
