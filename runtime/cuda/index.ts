/** `mtac/runtime/cuda`: runs compiled attentions on CUDA devices, real and emulated. */
export type { CallFootprint, CallStatistics, PrepareSize, Timing } from "../contract/call.ts";
export * from "../contract/errors.ts";
export { contiguousStrides, type DeviceStorage } from "../contract/layout.ts";
export type { ParameterValues } from "../contract/parameters.ts";
export { addCounters, type Counters, EMULATOR_ERRORS, EmulatorError } from "../emulator/index.ts";
export type { CudaAllocation, CudaBackend, CudaProperties } from "./backend.ts";
export type { CudaOutputs } from "./checks.ts";
export type { CompileOptions } from "./compile/builder.ts";
export { type CudaDevice, releaseWorkspace } from "./device.ts";
export { type CudaOptions, listCudaDevices, openCuda } from "./driver/open.ts";
export { type EmulatedCudaOptions, emulatedCompiler, openEmulatedCuda } from "./emulated.ts";
export { CUDA_ERRORS, CudaError, type CudaErrorCode } from "./errors.ts";
export type { CudaForwardResult, CudaStatistics, KernelCounters } from "./execution.ts";
export { CudaLauncher, type CudaLauncherOptions, createCudaLauncher } from "./launcher.ts";
export { allocate, type CudaTensor, download, release, type TensorOptions, upload } from "./tensors.ts";
