import { allocate, createLauncher, type DeviceTensor, download, upload } from "../../runtime/index.ts";
import type { WebGpu } from "../../runtime/webgpu/target.ts";
import type { CallDevice } from "./device.ts";

/** A WebGPU device that is open already, wherever it comes from: nothing here needs Node. */
export function callDevice(device: GPUDevice): CallDevice<DeviceTensor, WebGpu> {
  return {
    launch: (artifact, parameters) => createLauncher(device, artifact, parameters, { timestamps: true }),
    allocate: (shape, storage, label) => allocate(device, shape, storage, { label }),
    upload: (tensor, storage) => upload(device, tensor, storage),
    download: (tensor) => download(device, tensor),
  };
}
