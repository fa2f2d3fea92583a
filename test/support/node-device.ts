import { type DeviceOptions, requestDevice } from "../../runtime/index.ts";
import { type NodeGpuOptions, openNodeGpu } from "../../runtime/node.ts";

/** A device of this machine, SwiftShader where there is no GPU; the caller's to destroy. */
export async function openTestDevice(
  options: DeviceOptions = {},
  gpu: NodeGpuOptions = {},
): Promise<GPUDevice> {
  const { adapter } = await openNodeGpu(gpu);
  return requestDevice(adapter, options);
}
