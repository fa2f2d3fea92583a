import {
  type DeviceTensor,
  deviceIdentity,
  GpuError,
  releaseWorkspace,
  requestDevice,
} from "../../runtime/index.ts";
import { openNodeGpu } from "../../runtime/node.ts";
import type { WebGpu } from "../../runtime/webgpu/target.ts";
import type { OpenOptions, TargetDevice } from "../execution/device.ts";
import { callDevice } from "../execution/webgpu-device.ts";
import { limitsOf } from "../execution/webgpu-limits.ts";
import { webgpuMachine } from "../plan/index.ts";
import { type ListedDevice, runtimeOf, type TargetRuntime } from "./runtime.ts";

/** The machine's best WebGPU adapter. */
export const webgpu: TargetRuntime = runtimeOf(open, devices);

/** @throws GpuError MTA701 … MTA706 */
async function open({ purpose }: OpenOptions): Promise<TargetDevice<DeviceTensor, WebGpu>> {
  const { adapter, description } = await openNodeGpu();
  const device = await requestDevice(adapter, { label: `mtac ${purpose}` });
  return {
    ...callDevice(device),
    target: "webgpu",
    description,
    identity: deviceIdentity(device),
    machine: webgpuMachine(limitsOf(device)),
    gpu: device,
    counts: false,
    counted: () => null,
    close: async () => {
      releaseWorkspace(device);
      device.destroy();
    },
  };
}

const SHOWN_LIMITS = [
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxStorageBuffersPerShaderStage",
  "maxBufferSize",
  "maxStorageBufferBindingSize",
] as const;

/** The best adapter, and the software one. */
async function devices(): Promise<readonly (ListedDevice | GpuError)[]> {
  // "auto" first: asking for a real adapter where there is no driver makes Dawn complain on stderr.
  const best = await listed("auto");
  if (!best.software) return [best, await listed("always").catch(refusal)];
  const remedy = "install the GPU's Vulkan driver";
  return [new GpuError("MTA701", "no GPU with a driver that Dawn can use", { remedy }), best];
}

/** @throws GpuError MTA701 … MTA706 */
async function listed(fallback: "auto" | "always"): Promise<ListedDevice> {
  const { adapter, description, isFallback } = await openNodeGpu({ fallback });
  const device = await requestDevice(adapter);
  const limits = Object.fromEntries(SHOWN_LIMITS.map((name) => [name, device.limits[name]]));
  const features = [...device.features].sort();
  device.destroy();
  return { device: description, software: isFallback, limits, features };
}

function refusal(error: unknown): GpuError {
  if (error instanceof GpuError) return error;
  throw error;
}
