import type { Artifact, Float64Tensor, Pipeline } from "../../runtime/contract/index.ts";
import {
  type CallStatistics,
  createLauncher,
  type DeviceTensor,
  download,
  type Launcher,
  upload,
} from "../../runtime/index.ts";
import type { TargetLimits } from "../plan/index.ts";
import { hostParameters, placeInputs } from "./call-tensors.ts";
import type { AttentionCall } from "./request.ts";

/** Runs artifacts on a device that is open already, wherever it comes from: nothing here needs Node. */

export interface ForwardRequest {
  readonly pipeline: Pipeline;
  readonly call: AttentionCall;
  /** Sees the launcher when its kernels are compiled. */
  readonly compiled?: (launcher: Launcher) => void;
}

export interface ForwardOutcome {
  /** `o` [B, H, Lq, Dv] and, with softmax, `lse` [B, H, Lq]. */
  readonly tensors: ReadonlyMap<string, Float64Tensor>;
  readonly statistics: CallStatistics;
}

/**
 * Computes a call on a device and brings the results back.
 * @throws GpuError, and MtacError MTA601 … MTA613 when inputs or parameters do not fit
 */
export async function forwardOnDevice(
  device: GPUDevice,
  artifact: Artifact,
  { pipeline, call, compiled }: ForwardRequest,
): Promise<ForwardOutcome> {
  const launcher = await createLauncher(device, artifact, hostParameters(call.parameters), {
    timestamps: true,
  });
  compiled?.(launcher);
  const { o, lse, statistics } = await launcher.forward(
    placeInputs(pipeline, call.inputs, (tensor, as) => upload(device, tensor, as)),
  );
  const tensors = new Map([["o", await toFloat64(device, o)]]);
  if (lse !== null) tensors.set("lse", await toFloat64(device, lse));
  launcher.destroy();
  return { tensors, statistics };
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

/** A tensor of a device on the host. */
export async function toFloat64(device: GPUDevice, tensor: DeviceTensor): Promise<Float64Tensor> {
  return { shape: tensor.shape, data: Float64Array.from(await download(device, tensor)) };
}
