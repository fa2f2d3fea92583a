import { type DeviceTensor, deviceIdentity, releaseWorkspace, requestDevice } from "../../runtime/index.ts";
import { openNodeGpu } from "../../runtime/node.ts";
import type { WebGpu } from "../../runtime/webgpu/target.ts";
import type { OpenOptions, TargetDevice } from "../execution/device.ts";
import { callDevice, limitsOf } from "../execution/webgpu-device.ts";
import { webgpuMachine } from "../plan/index.ts";
import { runtimeOf, type TargetRuntime } from "./runtime.ts";

/** The machine's best WebGPU adapter. */
export const webgpu: TargetRuntime = runtimeOf(open);

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
