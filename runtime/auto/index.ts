/// <reference types="@webgpu/types" preserve="true" />
/// <reference lib="esnext.disposable" preserve="true" />
/**
 * `mtac/runtime/auto`: runs compiled attentions in pages on what they have: WebGPU, else WebAssembly. Launchers that a build step makes with
 * `target: "auto"` use it. Only the runtime that is chosen is loaded.
 *
 * @packageDocumentation
 */
export type { CallFootprint, CallStatistics, PrepareSize, Timing } from "../contract/call.ts";
export * from "../contract/errors.ts";
export { initParameters, type ParameterTensor, randomParameters } from "../contract/init.ts";
export { contiguousStrides, type DeviceStorage, type UploadSource } from "../contract/layout.ts";
export type { ParameterValues } from "../contract/parameters.ts";
export type { Pipeline } from "../contract/pipeline.ts";
export type { Artifact, Plan } from "../contract/plan.ts";
export type { StorageType } from "../contract/storage.ts";
export type { AttentionInputs, CallShape, HostTensor } from "../contract/tensor.ts";
export type { TensorOptions } from "../contract/typed-tensor.ts";
export type { GradientKey, SavedResult, SomeGradients } from "../launcher/gradients.ts";
export type { SavedCall } from "../launcher/saved.ts";
export type { WasmOptions } from "../wasm/open.ts";
export type { BrowserGpuOptions } from "../webgpu/browser-gpu.ts";
export { AutoDevice, type AutoOptions, openDevice } from "./device.ts";
export { AutoLauncher, createAutoLauncher } from "./launcher.ts";
export { allocate, download, releaseWorkspace, upload } from "./tensors.ts";
export type {
  AutoArtifact,
  AutoBackwardOptions,
  AutoForwardResult,
  AutoGradients,
  AutoKind,
  AutoLauncherOptions,
  AutoOutputs,
  AutoTensor,
  LoadedKernels,
  OwnedAutoTensor,
} from "./types.ts";
