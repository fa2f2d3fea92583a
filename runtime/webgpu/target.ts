import type { CallStatistics } from "../contract/call.ts";
import type { Backend, BackendTypes, PreparedCall } from "../launcher/backend.ts";
import type { CompiledKernel } from "./pipelines.ts";
import type { DeviceTensor, OwnedTensor } from "./tensors.ts";

/** What WebGPU makes of a launcher's notions. */
export interface WebGpu extends BackendTypes<DeviceTensor> {
  readonly device: GPUDevice;
  readonly owned: OwnedTensor;
  readonly memory: GPUBuffer;
  readonly kernel: CompiledKernel;
  readonly statistics: CallStatistics;
}

export type WebGpuCall = PreparedCall<DeviceTensor, WebGpu>;

/** A GPUDevice as launchers need it. */
export interface GpuBackend extends Backend<DeviceTensor, WebGpu> {
  readonly device: GPUDevice;
  /** Multiply-adds of one submission; undefined: as the device's speed suggests. */
  readonly budget: number | undefined;
}
