import { releaseWorkspace } from "../cpu/device.ts";
import { createCpuLauncher } from "../cpu/launcher.ts";
import { allocate, type CpuTensor, download, upload } from "../cpu/tensors.ts";
import { openWasm, type WasmOptions } from "../wasm/open.ts";
import type { Runtime } from "./types.ts";

/** The processor. @throws CpuError as `openWasm`. */
export async function openRuntime(options: WasmOptions | undefined): Promise<Runtime> {
  const device = await openWasm(options);
  return {
    kind: "wasm",
    description: device.description,
    gpu: null,
    cpu: device,
    launch: (artifact, parameters, how) => createCpuLauncher(device, artifact, parameters, how),
    allocate: (shape, storage, how) => allocate(device, shape, storage, how),
    upload: (source, storage, strides) => upload(device, source, storage, strides),
    download(tensor: CpuTensor) {
      return download(device, tensor);
    },
    releaseWorkspace: () => releaseWorkspace(device),
    close: () => device.close(),
  };
}
