import { createLauncher, download, requestDevice, upload } from "../../runtime/index.ts";
import { openNodeGpu } from "../../runtime/node.ts";
import { ramp, scaleArtifact } from "./tiny-plans.ts";

/** Run by `node.test.ts`: uses a device and destroys nothing; the process must end all the same. */
const opened = await openNodeGpu();
const device = await requestDevice(opened.adapter);
const launcher = await createLauncher(
  device,
  scaleArtifact(),
  new Map([["output.norm.weight", Float32Array.of(1, 2, 3, 4)]]),
);
const q = upload(device, { shape: [1, 2, 1, 4], data: ramp(8) }, "f32");
const k = upload(device, { shape: [1, 1, 1, 4], data: ramp(4) }, "f32");
const { o } = await launcher.forward({ q, k, v: k });
console.log((await download(device, o)).slice(0, 4).join(" "));
