/** What `mtac/runtime/cpu` and `mtac/runtime/wasm` both export. */
export type { CallFootprint, CallStatistics, PrepareSize, Timing } from "../contract/call.ts";
export * from "../contract/errors.ts";
export { initParameters, type ParameterTensor, randomParameters } from "../contract/init.ts";
export { contiguousStrides, type DeviceStorage, type UploadSource } from "../contract/layout.ts";
export type { ParameterValues } from "../contract/parameters.ts";
export type { Pipeline } from "../contract/pipeline.ts";
export type { Artifact, Plan, Schedule } from "../contract/plan.ts";
export type { StorageType } from "../contract/storage.ts";
export type { AttentionInputs, CallShape, HostTensor } from "../contract/tensor.ts";
export type { TensorOptions } from "../contract/typed-tensor.ts";
export type { GradientKey, SavedResult, SomeGradients } from "../launcher/gradients.ts";
export type { SavedCall } from "../launcher/saved.ts";
export { type CpuDevice, type CpuOptions, deviceIdentity, releaseWorkspace } from "./device.ts";
export { CpuError, type CpuErrorCode } from "./errors.ts";
export {
  type CpuBackwardOptions,
  type CpuForwardResult,
  type CpuGradients,
  CpuLauncher,
  type CpuLauncherOptions,
  type CpuOutputs,
  createCpuLauncher,
} from "./launcher.ts";
export type { CpuLibrary, CpuMemory } from "./library.ts";
export { allocate, type CpuTensor, download, type OwnedCpuTensor, upload } from "./tensors.ts";
