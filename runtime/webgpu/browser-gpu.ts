import { describeAdapter } from "./adapter-name.ts";
import { type DeviceOptions, requestDevice } from "./device.ts";
import { GpuError } from "./errors.ts";

/** Which GPU `openBrowserGpu` opens, and with what. */
export interface BrowserGpuOptions extends DeviceOptions {
  /** Which GPU to ask for where there are several: `high-performance` if not given. */
  readonly powerPreference?: GPUPowerPreference;
}

/** A GPU that `openBrowserGpu` opened. */
export interface BrowserGpu {
  /** Has everything from the adapter that mtac's kernels can use. The caller's, to be destroyed by the caller. */
  readonly device: GPUDevice;
  readonly adapter: GPUAdapter;
  /** One line for people, for example `nvidia ampere`. Browsers say little, so that it tells visitors apart as little as can be. */
  readonly description: string;
  /** Whether the adapter is a software one, too slow for more than tests. */
  readonly isFallback: boolean;
}

const GET_A_BROWSER = "use a recent Chrome, Edge, Safari or Firefox with hardware acceleration turned on";

/**
 * Opens the visitor's GPU, in a page or in a worker: `navigator.gpu`, its adapter, and a device as `requestDevice` makes it.
 *
 * ```ts
 * const { device, description } = await openBrowserGpu();
 * ```
 *
 * @param options What `requestDevice` takes (label, features, limits), and which GPU to prefer.
 * @throws GpuError MTA707 (this browser has no WebGPU), MTA708 (the page is not a secure context: neither https nor localhost),
 * MTA701 (the browser has WebGPU, but no GPU that it can use), MTA709 (the device was lost as soon as it was made), MTA704 (the
 * adapter refused the device), MTA706 (a feature or limit that was asked for is out of reach).
 */
export async function openBrowserGpu(options: BrowserGpuOptions = {}): Promise<BrowserGpu> {
  const { powerPreference = "high-performance", ...deviceOptions } = options;
  const adapter = await requestAdapter(browserGpu(), powerPreference);
  const device = await requestDevice(adapter, deviceOptions);
  await refuseLost(device);
  return {
    device,
    adapter,
    description: describeAdapter(adapter.info),
    // Browsers of before 2025 do not say.
    isFallback: adapter.info.isFallbackAdapter === true,
  };
}

function browserGpu(): GPU {
  // Typed as always there, which neither is: Node 20 has no navigator.
  const { navigator, isSecureContext }: { navigator?: { gpu?: GPU }; isSecureContext?: boolean } = globalThis;
  const gpu = navigator?.gpu;
  if (gpu !== undefined && gpu !== null) return gpu;
  // Without a secure context there is no `navigator.gpu` either, whatever the browser could do.
  if (isSecureContext === false) {
    throw new GpuError("MTA708", "the page was not loaded over https, which WebGPU needs", {
      remedy: "serve the page over https, or from localhost while it is developed",
    });
  }
  if (isSecureContext === undefined) {
    throw new GpuError("MTA707", "there is no navigator.gpu: this is not a browser", {
      remedy: "in Node, open a GPU with openNodeGpu of mtac/runtime/node",
    });
  }
  throw new GpuError("MTA707", "this browser has no WebGPU", { remedy: GET_A_BROWSER });
}

async function requestAdapter(gpu: GPU, powerPreference: GPUPowerPreference): Promise<GPUAdapter> {
  let adapter: GPUAdapter | null;
  try {
    adapter = await gpu.requestAdapter({ powerPreference });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new GpuError("MTA701", `this browser gives no WebGPU adapter: ${reason}`, {
      remedy: GET_A_BROWSER,
      cause,
    });
  }
  if (adapter !== null) return adapter;
  throw new GpuError("MTA701", "this browser has WebGPU, but found no GPU that it can use", {
    remedy: GET_A_BROWSER,
  });
}

/** Browsers give a device also where they have none any more (the GPU's process died): one that is lost already. */
async function refuseLost(device: GPUDevice): Promise<void> {
  const alive = new Promise<null>((resolve) => setTimeout(() => resolve(null), 0));
  const lost = await Promise.race([device.lost, alive]);
  if (lost === null) return;
  const details = lost.message === "" ? "no details from the driver" : lost.message;
  throw new GpuError("MTA709", `the GPU device was lost as soon as it was made: ${details}`, {
    remedy: "load the page again; if that does not help, restart the browser or update the GPU's driver",
  });
}
