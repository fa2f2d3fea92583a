import type { CallShape } from "../../runtime/contract/index.ts";
import type { CudaArchitecture } from "./architectures.ts";

/** What a plan may use of a device. */
export interface TargetLimits {
  /** Workgroup memory, in bytes. */
  readonly workgroupBytes: number;
  /** Invocations in one workgroup. */
  readonly invocations: number;
  /** Storage buffers that one kernel may bind. */
  readonly storageBuffers: number;
  /** WebGPU features, for example `shader-f16`. */
  readonly features: readonly string[];
  /** CUDA: what else the planner knows of the device. */
  readonly architecture?: CudaArchitecture;
}

/** What plans may use of a CUDA device. */
export function cudaLimits(architecture: CudaArchitecture): TargetLimits {
  return {
    workgroupBytes: architecture.sharedBytesPerBlock,
    invocations: 1024,
    storageBuffers: 32,
    features: [],
    architecture,
  };
}

/** The limits that every WebGPU device grants (WebGPU specification, "Limits", default values). */
export const WEBGPU_DEFAULT_LIMITS: TargetLimits = {
  workgroupBytes: 16384,
  invocations: 256,
  storageBuffers: 8,
  features: [],
};

/** What most devices grant on request. */
export const WEBGPU_COMMON_LIMITS: TargetLimits = { ...WEBGPU_DEFAULT_LIMITS, workgroupBytes: 32768 };

/** The devices that a compiled artifact has plans for, the most capable first. */
export const WEBGPU_VARIANTS: readonly TargetLimits[] = [
  { ...WEBGPU_COMMON_LIMITS, features: ["shader-f16"] },
  WEBGPU_COMMON_LIMITS,
  { ...WEBGPU_DEFAULT_LIMITS, features: ["shader-f16"] },
  WEBGPU_DEFAULT_LIMITS,
];

/** The shape for which plans are chosen where none is given. */
export const DEFAULT_SHAPE: CallShape = { B: 1, Lq: 1024, Lk: 1024, R: 0 };

/** The most workgroups along y and z of a CUDA grid, and along any axis of WebGPU's. */
export const MOST_GRID = 65535;
