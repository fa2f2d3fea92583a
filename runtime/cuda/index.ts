/// <reference lib="esnext.disposable" preserve="true" />
/**
 * `mtac/runtime/cuda`: runs compiled attentions on CUDA devices, real and emulated.
 *
 * @packageDocumentation
 */
export type { CallFootprint, CallStatistics, PrepareSize, Timing } from "../contract/call.ts";
export * from "../contract/errors.ts";
export { initParameters, type ParameterTensor, randomParameters } from "../contract/init.ts";
export { contiguousStrides, type DeviceStorage, type UploadSource } from "../contract/layout.ts";
export type { ParameterValues } from "../contract/parameters.ts";
export type { Pipeline } from "../contract/pipeline.ts";
export type { Artifact, KernelImage, Plan, Schedule } from "../contract/plan.ts";
export type { StorageType } from "../contract/storage.ts";
export type { AttentionInputs, CallShape, HostTensor } from "../contract/tensor.ts";
export type { TensorOptions } from "../contract/typed-tensor.ts";
export {
  addCounters,
  boundOf,
  type Counters,
  type CycleEstimate,
  EMULATOR_ERRORS,
  EmulatorError,
  estimateCycles,
  totalCycles,
} from "../emulator/index.ts";
export type { GradientKey, SavedResult, SomeGradients } from "../launcher/gradients.ts";
export type { SavedCall } from "../launcher/saved.ts";
export type { CudaAllocation, CudaBackend, CudaProperties } from "./backend.ts";
export type { CompileOptions } from "./compile/builder.ts";
export { type CudaDevice, releaseWorkspace } from "./device.ts";
export { type CudaOptions, listCudaDevices, openCuda } from "./driver/open.ts";
export { type EmulatedCudaOptions, emulatedCompiler, openEmulatedCuda } from "./emulated.ts";
export { CUDA_ERRORS, CudaError, type CudaErrorCode } from "./errors.ts";
export { deviceIdentity } from "./identity.ts";
export {
  type CudaBackwardOptions,
  type CudaForwardResult,
  type CudaGradients,
  CudaLauncher,
  type CudaLauncherOptions,
  type CudaOutputs,
  createCudaLauncher,
} from "./launcher.ts";
export type { CudaStatistics, KernelCounters } from "./target.ts";
export {
  allocate,
  type CudaTensor,
  download,
  type OwnedCudaTensor,
  release,
  upload,
} from "./tensors.ts";
