import { existsSync, readdirSync } from "node:fs";
import os from "node:os";
import { describeAdapter } from "./adapter-name.ts";
import { dawnWait } from "./dawn-wait.ts";
import { keepAlive, setWaiter } from "./device-state.ts";
import { GpuError } from "./errors.ts";
import { installCommand } from "./optional-packages.ts";
import { unpackSwiftShader } from "./swiftshader.ts";

/** Which adapter `openNodeGpu` opens. */
export interface NodeGpuOptions {
  /** When to use SwiftShader, the software adapter: only without a real one (`auto`), `always`, or `never`, which takes no other software either. */
  readonly fallback?: "auto" | "always" | "never";
  /** Further options for Dawn, for example `enable-dawn-features=dump_shaders`. */
  readonly toggles?: readonly string[];
  /**
   * SwiftShader spends seconds on zeroing a kernel's workgroup arrays, so it is told not to; mtac's kernels never rely
   * on zeroed memory. `true` restores what the WebGPU specification promises.
   */
  readonly zeroWorkgroupMemory?: boolean;
}

/** A WebGPU adapter in Node; `requestDevice(adapter)` makes a device of it. */
export interface NodeGpu {
  readonly gpu: GPU;
  readonly adapter: GPUAdapter;
  /** Whether the adapter is a software one, too slow for more than tests. */
  readonly isFallback: boolean;
  /** One line for people, for example `SwiftShader driver 5.0.0 (google swiftshader)`. */
  readonly description: string;
}

/** Whether this process has looked for a real adapter in vain: no need to look again, with warnings from the loader. */
let foundNone = false;

type DawnModule = typeof import("webgpu");

/**
 * Opens WebGPU in Node through Dawn (the optional package `webgpu`), with SwiftShader (the optional package
 * `@sparticuz/chromium`) where there is no GPU. Nothing is put into the global scope.
 *
 * @throws GpuError MTA701 (no adapter), MTA702 (a package is missing), MTA703 (no SwiftShader for this platform).
 */
export async function openNodeGpu(options: NodeGpuOptions = {}): Promise<NodeGpu> {
  const { fallback = "auto", toggles = [], zeroWorkgroupMemory = false } = options;
  // Asked in any case: once the fallback's loader is in the process there is no telling any more.
  const promising = mayHaveAdapter();
  if (fallback === "never" && !(promising && mayHaveGpu())) throw noAdapter();
  const dawn = await loadDawn(fallback !== "never");
  if (fallback === "never" || (fallback === "auto" && promising)) {
    const gpu = dawn.create([...toggles]);
    const adapter = await dawnWait(gpu.requestAdapter({ powerPreference: "high-performance" }));
    if (adapter !== null && (fallback !== "never" || !adapter.info.isFallbackAdapter))
      return opened(gpu, adapter);
    if (fallback === "never") throw noAdapter();
    foundNone = true;
  }
  const { loader, manifest } = unpackSwiftShader();
  preload(loader);
  const gpu = dawn.create(fallbackToggles(toggles, zeroWorkgroupMemory));
  const adapter = await withDriver(manifest, () => dawnWait(gpu.requestAdapter()));
  if (adapter === null) {
    throw new GpuError("MTA703", `Dawn finds no adapter in SwiftShader (${manifest})`, {
      remedy: "delete that folder to have it unpacked afresh, and check that node_modules/webgpu is 0.6.2",
    });
  }
  return opened(gpu, adapter);
}

/**
 * @param wantsSoftware Whether SwiftShader may be asked for, too (a Vulkan loader alone is no GPU): what it needs is named at once, so that
 *   nobody meets one missing package after the other.
 */
async function loadDawn(wantsSoftware: boolean): Promise<DawnModule> {
  try {
    return await import("webgpu");
  } catch (cause) {
    if ("bun" in process.versions)
      throw new GpuError("MTA702", "Dawn's package `webgpu`, an addon for Node, cannot be loaded by Bun", {
        remedy:
          "run this with Node (`node node_modules/mtac/dist/cli/main.js …`), or use `--target reference`",
        cause,
      });
    const missing = cause instanceof Error && "code" in cause && cause.code === "ERR_MODULE_NOT_FOUND";
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new GpuError(
      "MTA702",
      missing
        ? "the package webgpu, which gives Node WebGPU, is not installed"
        : `the package webgpu cannot be loaded: ${reason}`,
      { remedy: installCommand(wantsSoftware), cause },
    );
  }
}

/** The toggles for SwiftShader; Dawn takes a single list of features, so a caller's own is joined to ours. */
function fallbackToggles(toggles: readonly string[], zeroWorkgroupMemory: boolean): string[] {
  if (zeroWorkgroupMemory) return [...toggles];
  const prefix = "enable-dawn-features=";
  const features = toggles
    .filter((toggle) => toggle.startsWith(prefix))
    .map((toggle) => toggle.slice(prefix.length));
  const others = toggles.filter((toggle) => !toggle.startsWith(prefix));
  return [...others, `${prefix}${["disable_workgroup_init", ...features].join(",")}`];
}

/**
 * Whether this machine has a GPU that WebGPU can use. Where nothing hints at one, Dawn is not even loaded: it takes a while, and
 * prints what its loaders think of the machine.
 */
export async function hasNodeGpu(): Promise<boolean> {
  try {
    await openNodeGpu({ fallback: "never" });
    return true;
  } catch (error) {
    if (error instanceof GpuError) return false;
    throw error;
  }
}

function noAdapter(): GpuError {
  return new GpuError("MTA701", "there is no WebGPU adapter on this machine", {
    remedy: "install a GPU driver with Vulkan, or allow the software fallback",
  });
}

/** What drivers of GPUs make under Linux: NVIDIA's, Windows' for its Linux, Qualcomm's, ARM's. All others have a place in /dev/dri. */
const GPU_FILES = ["/dev/nvidiactl", "/dev/dxg", "/dev/kgsl-3d0", "/dev/mali0"];

/** On Linux a Vulkan loader finds drivers that compute in software, too, and prints what they lack: first, whether there is any hardware. */
function mayHaveGpu(): boolean {
  if (process.platform !== "linux" || GPU_FILES.some((file) => existsSync(file))) return true;
  try {
    // A card without a render node shows pictures only.
    return readdirSync("/dev/dri").some((name) => name.startsWith("renderD"));
  } catch {
    return false;
  }
}

/**
 * On Linux Dawn needs a Vulkan loader on the system, and prints a warning where there is none; ask first. Node cannot
 * load a library that is no addon, but its complaint tells whether the file was found.
 */
function mayHaveAdapter(): boolean {
  if (foundNone || process.platform !== "linux") return !foundNone;
  try {
    process.dlopen({ exports: {} }, "libvulkan.so.1", os.constants.dlopen.RTLD_LAZY);
    return true;
  } catch (error) {
    foundNone = error instanceof Error && error.message.includes("cannot open shared object file");
    return !foundNone;
  }
}

/** Puts the loader into the process before Dawn asks for one by the name libvulkan.so.1. */
function preload(loader: string): void {
  // dlopen(3), Linux: keeps the library mapped although Node, finding no addon in it, closes it again.
  const RTLD_NODELETE = 0x1000;
  try {
    process.dlopen(
      { exports: {} },
      loader,
      os.constants.dlopen.RTLD_NOW | os.constants.dlopen.RTLD_GLOBAL | RTLD_NODELETE,
    );
  } catch {
    // Always "did not self-register"; whether it worked shows in requestAdapter().
  }
}

/** Runs `open` with the Vulkan loader pointed at one driver; child processes must not inherit that. */
async function withDriver<T>(manifest: string, open: () => Promise<T>): Promise<T> {
  const names = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"];
  const before = names.map((name) => [name, process.env[name]] as const);
  for (const name of names) process.env[name] = manifest;
  try {
    return await open();
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}

function opened(gpu: GPU, adapter: GPUAdapter): NodeGpu {
  setWaiter(adapter, dawnWait);
  keepAlive(adapter, gpu);
  return {
    gpu,
    adapter,
    isFallback: adapter.info.isFallbackAdapter,
    description: describeAdapter(adapter.info),
  };
}
