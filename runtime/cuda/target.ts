import type { CallStatistics } from "../contract/call.ts";
import type { Counters } from "../emulator/index.ts";
import type { BackendTypes, PreparedCall } from "../launcher/backend.ts";
import type { CudaAllocation, CudaKernel } from "./backend.ts";
import type { CudaDevice } from "./device.ts";
import type { CudaTensor, OwnedCudaTensor } from "./tensors.ts";

/** What the emulator counted in one kernel, all its launches of a call together. */
export interface KernelCounters {
  readonly kernel: string;
  readonly counters: Counters;
}

/** What a call cost; on the emulated device, also what was counted. */
export interface CudaStatistics extends CallStatistics {
  /** Sum over all kernels; null on a real device. */
  readonly counters: Counters | null;
  /** In the order in which the kernels were first launched; empty on a real device. */
  readonly kernelCounters: readonly KernelCounters[];
}

/** What CUDA makes of a launcher's notions. */
export interface Cuda extends BackendTypes<CudaTensor> {
  readonly device: CudaDevice;
  readonly owned: OwnedCudaTensor;
  readonly memory: CudaAllocation;
  readonly kernel: CudaKernel;
  readonly statistics: CudaStatistics;
}

export type CudaCall = PreparedCall<CudaTensor, Cuda>;
