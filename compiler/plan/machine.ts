import type { CallShape, Schedule, StorageForm, Target } from "../../runtime/contract/index.ts";
import type { CudaArchitecture } from "./architectures.ts";
import { cudaLimits, type TargetLimits } from "./limits.ts";

/** What the planner knows of the machine that kernels are planned for, as data: `webgpuMachine` and `cudaMachine` make them. */
export interface Machine {
  readonly target: Target;
  /** What one kernel may use of it. */
  readonly limits: TargetLimits;
  /** The generation of NVIDIA devices that it is; null elsewhere. */
  readonly architecture: CudaArchitecture | null;
}

/** What a plan is sought for. */
export interface PlanRequest {
  readonly machine: Machine;
  /** The shape for which cost is predicted; plans run at every shape. */
  readonly shape: CallShape;
  /** Considers this schedule only. */
  readonly schedule?: Schedule;
  /** Storage form, where the machine's own (WebGPU: native f16 if the device has it, else packed) is not wanted. */
  readonly storage?: StorageForm;
}

/** A device of WebGPU with these limits. */
export function webgpuMachine(limits: TargetLimits): Machine {
  return { target: "webgpu", limits, architecture: null };
}

/** A CUDA device of this architecture. */
export function cudaMachine(architecture: CudaArchitecture): Machine {
  return { target: "cuda", limits: cudaLimits(architecture), architecture };
}

/**
 * The machine that a target's limits describe.
 * @throws RangeError for `cuda` with limits that name no architecture: `cudaLimits` makes such that do.
 */
export function machineOf(target: Target, limits: TargetLimits): Machine {
  if (target === "webgpu") return webgpuMachine(limits);
  const { architecture } = limits;
  if (architecture === undefined) throw new RangeError("a CUDA device's limits name its architecture");
  return cudaMachine(architecture);
}
