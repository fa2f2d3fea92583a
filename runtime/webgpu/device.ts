import { describeValue } from "../contract/arguments.ts";
import { formatBytes } from "../contract/messages.ts";
import { checkDevice, hasMethod, keepAlive, setWaiter, waiterOf } from "./device-state.ts";
import { GpuError } from "./errors.ts";

/** Features that kernels and timing use where the adapter has them. */
const WANTED_FEATURES: readonly GPUFeatureName[] = ["shader-f16", "timestamp-query"];

/** Limits whose WebGPU defaults are lower than what most adapters have, and which plans or large tensors need. */
const WANTED_LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupSizeY",
  "maxComputeWorkgroupSizeZ",
  "maxComputeWorkgroupsPerDimension",
] as const;

export type NegotiatedLimit = (typeof WANTED_LIMITS)[number];

/** What `requestDevice` asks for, beside all that mtac can use. */
export interface DeviceOptions {
  readonly label?: string;
  /** Features to ask for beside `shader-f16` and `timestamp-query`; the adapter must have them. */
  readonly features?: readonly GPUFeatureName[];
  /** Features not to ask for, for example to test the kernels that do without `shader-f16`. */
  readonly withoutFeatures?: readonly GPUFeatureName[];
  /** Values to ask for instead of the adapter's best; the adapter must reach them. */
  readonly limits?: Readonly<Partial<Record<NegotiatedLimit, number>>>;
}

/**
 * Requests a device with everything from the adapter that mtac's kernels can use: `shader-f16` and `timestamp-query`
 * where present, and the adapter's full limits (WebGPU gives 16 KiB of workgroup memory and 256 MiB buffers unless
 * asked; specification section "Limits").
 *
 * @throws GpuError MTA706 (a feature or limit that was asked for is out of reach), MTA704 (the adapter refused), MTA743 (no
 *   adapter: browsers give null where they have none).
 */
export async function requestDevice(adapter: GPUAdapter, options: DeviceOptions = {}): Promise<GPUDevice> {
  if (!hasMethod(adapter, "requestDevice")) {
    throw new GpuError("MTA743", `a GPUAdapter is needed, not ${describeValue(adapter)}`, {
      remedy:
        adapter === null
          ? "navigator.gpu.requestAdapter() found none: use a browser and a GPU with WebGPU"
          : "pass what `await navigator.gpu.requestAdapter()` gives",
    });
  }
  const without = new Set<string>(options.withoutFeatures ?? []);
  for (const feature of options.features ?? []) {
    if (!adapter.features.has(feature)) {
      throw new GpuError("MTA706", `the adapter has no feature "${feature}"`, {
        remedy: "choose another adapter",
      });
    }
  }
  const features = [...WANTED_FEATURES, ...(options.features ?? [])].filter(
    (feature, index, all) =>
      adapter.features.has(feature) && !without.has(feature) && all.indexOf(feature) === index,
  );
  const limits: Record<string, number> = {};
  for (const name of WANTED_LIMITS) limits[name] = negotiate(adapter, name, options.limits?.[name]);
  const { label } = options;
  let device: GPUDevice;
  try {
    device = await waiterOf(adapter)(
      adapter.requestDevice({
        requiredFeatures: features,
        requiredLimits: limits,
        ...(label === undefined ? {} : { label }),
      }),
    );
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new GpuError("MTA704", `the adapter refused to make a device: ${reason}`, {
      remedy: "request a fresh adapter: each one makes a single device",
      cause,
    });
  }
  setWaiter(device, waiterOf(adapter));
  keepAlive(device, adapter);
  checkDevice(device);
  return device;
}

function negotiate(adapter: GPUAdapter, name: NegotiatedLimit, asked: number | undefined): number {
  const available = adapter.limits[name];
  if (asked === undefined || asked <= available) return asked ?? available;
  const show = /Size$/.test(name) && !/WorkgroupSize/.test(name) ? formatBytes : String;
  throw new GpuError("MTA706", `the adapter's ${name} is ${show(available)}; ${show(asked)} were asked for`, {
    remedy: "ask for less, or choose another adapter",
  });
}
