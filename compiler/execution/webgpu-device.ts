import type { Artifact } from "../../runtime/contract/index.ts";
import {
  allocate,
  type CallStatistics,
  createLauncher,
  type DeviceTensor,
  download,
  upload,
} from "../../runtime/index.ts";
import type { WebGpu } from "../../runtime/webgpu/target.ts";
import type { TargetLimits } from "../plan/index.ts";
import { type CallDevice, type ForwardOutcome, type ForwardRequest, forwardOn } from "./device.ts";

/** A WebGPU device that is open already, wherever it comes from: nothing here needs Node. */
export function callDevice(device: GPUDevice): CallDevice<DeviceTensor, WebGpu> {
  return {
    launch: (artifact, parameters) => createLauncher(device, artifact, parameters, { timestamps: true }),
    allocate: (shape, storage, label) => allocate(device, shape, storage, { label }),
    upload: (tensor, storage) => upload(device, tensor, storage),
    download: (tensor) => download(device, tensor),
  };
}

/**
 * Computes a call on a device and brings the results back.
 * @throws GpuError, and MtacError MTA601 … MTA613 when inputs or parameters do not fit
 */
export function forwardOnDevice(
  device: GPUDevice,
  artifact: Artifact,
  request: ForwardRequest,
): Promise<ForwardOutcome<CallStatistics>> {
  return forwardOn(callDevice(device), artifact, request);
}

/** What plans may use of a device. */
export function limitsOf({ limits, features }: Pick<GPUDevice, "limits" | "features">): TargetLimits {
  return {
    workgroupBytes: limits.maxComputeWorkgroupStorageSize,
    invocations: Math.min(limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupSizeX),
    storageBuffers: limits.maxStorageBuffersPerShaderStage,
    features: [...features].filter((feature) => feature === "shader-f16"),
  };
}
