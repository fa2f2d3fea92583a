import type { GpuErrorCode } from "../../runtime/webgpu/errors.ts";
import type { Advice } from "./advice.ts";

const COMPILE_AGAIN = "Compile the spec again, and ship all the files that it wrote.";
const CHECK_LAYOUT =
  "Check shape, strides and offset; tensors made by `upload` and `allocate` are always right.";

/** The WebGPU runtime, in browsers and Node. */
export const GPU_ADVICE: Readonly<Record<GpuErrorCode, Advice>> = {
  MTA701: {
    cause:
      "WebGPU is there, but no GPU that it can use: no driver with Vulkan, Metal or Direct3D 12, a blocklisted one, or a virtual machine.",
    remedy:
      "Update the GPU's driver; in Node, allow the software fallback (`@sparticuz/chromium`). [Browsers and devices](./platforms.md) says what works where.",
  },
  MTA702: {
    cause:
      "Node has no WebGPU of its own: it comes with the package `webgpu`, its software fallback with `@sparticuz/chromium`.",
    remedy:
      "Run the `npm install` line of the message, or use `--target reference`. Bun cannot load `webgpu`: run Node.",
  },
  MTA703: {
    cause: "SwiftShader, the GPU in software, is built for Linux x64 only, or could not be unpacked.",
    remedy: "Install a Vulkan driver, or let `XDG_CACHE_HOME` name a folder that may be written to.",
  },
  MTA704: {
    cause: "An adapter makes one device, and this one has been used, or the driver refused.",
    remedy: "Request a fresh adapter for each device.",
  },
  MTA705: {
    cause:
      "The driver was reset, the GPU was removed, a tab used too much of it, or the program destroyed the device.",
    remedy: "Request a new device and call `launcher.rebuild(device)`; upload tensors again.",
  },
  MTA706: {
    cause: "More was asked of `requestDevice` than the adapter has.",
    remedy: "Ask for less, or choose another adapter; `mtac devices` lists features and limits.",
  },
  MTA707: {
    cause:
      "The browser is too old, or has WebGPU switched off; or this is Node, where `openNodeGpu` opens a GPU.",
    remedy: "Use a current Chrome, Edge, Safari or Firefox; see [browsers and devices](./platforms.md).",
  },
  MTA708: {
    cause: "Browsers offer WebGPU to secure pages only.",
    remedy: "Serve the page over https, or from localhost.",
  },
  MTA709: {
    cause: "The driver gave a device and took it back at once.",
    remedy: "Load the page again; restart the browser, or update the driver.",
  },
  MTA710: {
    cause: "Each plan of the artifact needs a feature or limit that the device was requested without.",
    remedy:
      "Request the device with `requestDevice()` of `mtac/runtime`, which asks for all that the adapter has, or compile for smaller limits.",
  },
  MTA711: {
    cause:
      "A schedule or storage was asked for that the artifact was not compiled with, or something else was given as artifact.",
    remedy: "Leave the choice out, or compile the spec with it.",
  },
  MTA712: {
    cause:
      "The artifact's list of sources lacks a kernel of its plan: files were left behind, or mixed from two compilations.",
    remedy: COMPILE_AGAIN,
  },
  MTA713: {
    cause: "The browser's WGSL compiler refuses a kernel: a defect of mtac, or of the driver.",
    remedy: "Update the browser; if that does not help, report it with the message and the spec.",
  },
  MTA714: {
    cause: "The device cannot make a pipeline of a kernel that compiles, mostly for lack of memory.",
    remedy: "Free memory, or try another schedule with `--schedule`.",
  },
  MTA715: {
    cause: "`encode()` cannot wait, and the kernels for this size have not been compiled.",
    remedy: "Await `launcher.prepare(…)` with the sizes that the message gives first.",
  },
  MTA720: {
    cause: "A tensor's type is not the attention's: f32 for `dtype f16`, for example.",
    remedy: "Upload it in the storage that the message asks for; the launcher's types say so, too.",
  },
  MTA721: {
    cause: "Strides are negative, let elements overlap in an output, or leave the last axis not contiguous.",
    remedy: CHECK_LAYOUT,
  },
  MTA722: {
    cause: "Kernels read several elements at once, and a row begins in the middle of such a group.",
    remedy: "Pad rows to the multiple that the message gives, or copy the tensor.",
  },
  MTA723: {
    cause: "Devices bind buffers at certain multiples of bytes only, mostly 256.",
    remedy: "Place tensors at such multiples, or copy this one to a buffer of its own.",
  },
  MTA724: { cause: "Shape, strides and offset reach past the end of the buffer.", remedy: CHECK_LAYOUT },
  MTA725: {
    cause: "The buffer was created without STORAGE, COPY_SRC or COPY_DST, whichever the message names.",
    remedy: "Create it with that usage, or with `allocate()`.",
  },
  MTA726: {
    cause:
      "WebGPU binds a buffer that is written only once in a dispatch, so that outputs cannot share one with inputs.",
    remedy: "Give each output a buffer of its own.",
  },
  MTA727: {
    cause: "An `out` tensor does not have the shape of the result.",
    remedy: "Make it with the shape that the message gives, or leave it out.",
  },
  MTA728: {
    cause: "The number of values is not the product of the shape, or an array of another type was given.",
    remedy:
      "Give one value for each element: Int32Array for i32, floats, Float16Array or raw bits for the other types.",
  },
  MTA730: {
    cause: "The call would need more workgroups than the device starts at once.",
    remedy: "Split the batch or the rows; the message says what fits.",
  },
  MTA731: {
    cause: "A tensor, or the workspace of the plan, is larger than one buffer of the device may be.",
    remedy:
      "Split the batch, or request the device with `requestDevice()`, which asks for the adapter's full limits.",
  },
  MTA732: {
    cause: "The device has no memory left for a buffer.",
    remedy: "Destroy tensors that are no longer needed, split the batch, or try another schedule.",
  },
  MTA733: {
    cause: "A tensor was destroyed, or belongs to another device than the launcher.",
    remedy:
      "Keep tensors until the call has ended, and upload them to the launcher's device; the message names the tensor where it can be known.",
  },
  MTA734: {
    cause: "The driver reported an error of its own.",
    remedy: "Update it; if the error comes again, report it with the spec and the device.",
  },
  MTA740: {
    cause: "A parameter has more or fewer values than its shape.",
    remedy: "Give as many values as the message says.",
  },
  MTA741: { cause: "A launcher was used after `destroy()`.", remedy: "Make a new one, or destroy it later." },
  MTA742: {
    cause:
      "`create…(device, …)` or `encode(encoder, …)` was called with something else: an adapter, a promise, null.",
    remedy: "Pass the GPUDevice that `requestDevice(adapter)` or `openBrowserGpu()` gives, awaited.",
  },
  MTA743: {
    cause: "`requestDevice` was called with something else, mostly with null: there is no adapter.",
    remedy:
      "Use `openBrowserGpu()`, which says why there is none, or pass what `await navigator.gpu.requestAdapter()` gives.",
  },
};
