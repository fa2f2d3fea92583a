import { createLauncher, download, requestDevice, upload } from "../../runtime/index.ts";
import { openNodeGpu } from "../../runtime/node.ts";
import { ramp, scaleArtifact } from "./tiny-plans.ts";

/**
 * Run by `node.test.ts` with --expose-gc: uses a device and destroys nothing. The process must end all the same, and must
 * survive that the GPU object, which nobody here holds, could be collected while its device is in use.
 */
async function openDevice(): Promise<GPUDevice> {
  const { adapter } = await openNodeGpu();
  return requestDevice(adapter);
}

async function collectGarbage(): Promise<void> {
  for (let round = 0; round < 5; round++) {
    globalThis.gc?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const device = await openDevice();
await collectGarbage();
const weight = new Map([["output.norm.weight", Float32Array.of(1, 2, 3, 4)]]);
const launcher = await createLauncher(device, scaleArtifact(), weight);
await collectGarbage();
const q = upload(device, { shape: [1, 2, 1, 4], data: ramp(8) }, "f32");
const k = upload(device, { shape: [1, 1, 1, 4], data: ramp(4) }, "f32");
const { o } = await launcher.forward({ q, k, v: k });
await collectGarbage();
console.log((await download(device, o)).slice(0, 4).join(" "));
