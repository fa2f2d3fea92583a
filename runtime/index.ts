/// <reference types="@webgpu/types" preserve="true" />
/// <reference lib="esnext.disposable" preserve="true" />
/**
 * `mtac/runtime`: runs compiled attentions on WebGPU, in browsers and wherever a GPUDevice is at hand.
 *
 * @packageDocumentation
 */
export type { CallFootprint, CallStatistics, PrepareSize, Timing } from "./contract/call.ts";
export * from "./contract/errors.ts";
export { initParameters, type ParameterTensor, randomParameters } from "./contract/init.ts";
export { contiguousStrides, type DeviceStorage, type UploadSource } from "./contract/layout.ts";
export type { ParameterValues } from "./contract/parameters.ts";
export type { Pipeline } from "./contract/pipeline.ts";
export type { Artifact, Plan, Schedule } from "./contract/plan.ts";
export type { StorageType } from "./contract/storage.ts";
export type { AttentionInputs, CallShape, HostTensor } from "./contract/tensor.ts";
export type { TensorOptions } from "./contract/typed-tensor.ts";
export type { GradientKey, SavedResult, SomeGradients } from "./launcher/gradients.ts";
export type { SavedCall } from "./launcher/saved.ts";
export {
  type ByteSource,
  type ElementArray,
  type ElementType,
  type ParseOptions,
  parseSafetensors,
  type ReadParametersOptions,
  readParameters,
  SAFETENSORS_CODES,
  type StoredTensor,
  type TensorView,
  toHostTensor,
} from "./safetensors/index.ts";
export { type BrowserGpu, type BrowserGpuOptions, openBrowserGpu } from "./webgpu/browser-gpu.ts";
export { type DeviceOptions, requestDevice } from "./webgpu/device.ts";
export { GPU_ERRORS } from "./webgpu/error-meanings.ts";
export { GPU_ERROR_KINDS, GpuError, type GpuErrorCode } from "./webgpu/errors.ts";
export { deviceIdentity } from "./webgpu/identity.ts";
export {
  type AttentionBackwardOptions,
  type AttentionGradients,
  type AttentionOutputs,
  createLauncher,
  type EncodedCall,
  type EncodedGradients,
  type ForwardResult,
  type Launcher,
  type LauncherOptions,
  type Recorded,
} from "./webgpu/launcher.ts";
export { releaseWorkspace } from "./webgpu/pool.ts";
export {
  allocate,
  type DeviceTensor,
  download,
  type OwnedTensor,
  upload,
} from "./webgpu/tensors.ts";
