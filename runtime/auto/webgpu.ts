import { type BrowserGpuOptions, openBrowserGpu } from "../webgpu/browser-gpu.ts";
import { createLauncher } from "../webgpu/launcher.ts";
import { releaseWorkspace } from "../webgpu/pool.ts";
import { allocate, type DeviceTensor, download, upload } from "../webgpu/tensors.ts";
import type { Runtime } from "./types.ts";

/** The visitor's GPU. @throws GpuError as `openBrowserGpu`. */
export async function openRuntime(options: BrowserGpuOptions | undefined): Promise<Runtime> {
  const { device, description } = await openBrowserGpu(options);
  return {
    kind: "webgpu",
    description,
    gpu: device,
    cpu: null,
    launch: (artifact, parameters, how) => createLauncher(device, artifact, parameters, how),
    allocate: (shape, storage, how) => allocate(device, shape, storage, how),
    upload: (source, storage, strides) => upload(device, source, storage, strides),
    download(tensor: DeviceTensor) {
      return download(device, tensor);
    },
    releaseWorkspace: () => releaseWorkspace(device),
    close: async () => device.destroy(),
  };
}
