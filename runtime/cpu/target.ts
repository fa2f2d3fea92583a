import type { CallStatistics } from "../contract/call.ts";
import type { BackendTypes, PreparedCall } from "../launcher/backend.ts";
import type { CpuDevice } from "./device.ts";
import type { CpuMemory, CpuPass } from "./library.ts";
import type { CpuTensor, OwnedCpuTensor } from "./tensors.ts";

/** An attention that is ready to be computed: `struct attention` and its stages, in the library's memory. */
export interface CpuKernel {
  readonly attention: CpuMemory;
  readonly stages: CpuMemory;
  /** What computes it, or its gradients. */
  readonly pass: CpuPass;
}

/** What the processor makes of a launcher's notions. */
export interface Cpu extends BackendTypes<CpuTensor> {
  readonly device: CpuDevice;
  readonly owned: OwnedCpuTensor;
  readonly memory: CpuMemory;
  readonly kernel: CpuKernel;
  readonly statistics: CallStatistics;
}

export type CpuCall = PreparedCall<CpuTensor, Cpu>;
