import type { Float64Tensor } from "../../runtime/contract/index.ts";
import {
  createLauncher,
  type DeviceTensor,
  deviceIdentity,
  download,
  requestDevice,
  upload,
} from "../../runtime/index.ts";
import { openNodeGpu } from "../../runtime/node.ts";
import { emitArtifact, emitKernels } from "../emit/index.ts";
import type { TargetLimits } from "../plan/index.ts";
import { hostParameters, placeInputs } from "./call-tensors.ts";
import { type RunRequest, type RunResult, shapeOf } from "./request.ts";

/**
 * Computes an attention on the machine's best WebGPU adapter, with a plan made for its limits.
 * @throws MtacError MTA401 (no schedule fits the device), GpuError
 */
export async function executeOnWebGpu({ pipeline, call, schedule, tuned }: RunRequest): Promise<RunResult> {
  const { adapter, description } = await openNodeGpu();
  const device = await requestDevice(adapter, { label: "mtac run" });
  try {
    const limits = limitsOf(device);
    const won = tuned?.({ target: "webgpu", identity: deviceIdentity(device), limits }) ?? null;
    const artifact =
      won === null
        ? emitArtifact(pipeline, {
            shape: shapeOf(call),
            variants: [limits],
            ...(schedule === undefined ? {} : { schedule }),
          })
        : { name: pipeline.name, plans: [won], sources: emitKernels(won) };
    const launcher = await createLauncher(device, artifact, hostParameters(call.parameters), {
      timestamps: true,
    });
    const { o, lse, statistics } = await launcher.forward(
      placeInputs(pipeline, call.inputs, (tensor, as) => upload(device, tensor, as)),
    );
    const tensors = new Map([["o", await toFloat64(device, o)]]);
    if (lse !== null) tensors.set("lse", await toFloat64(device, lse));
    launcher.destroy();
    const { kernels, wallMs, deviceMs, peakBytes, workspaceBytes, compulsoryBytes } = statistics;
    return {
      tensors,
      report: {
        target: "webgpu",
        device: description,
        schedule: statistics.schedule,
        choice: won === null ? "planner" : "tuned",
        kernels,
        wallMs,
        deviceMs,
        peakBytes,
        workspaceBytes,
        compulsoryBytes,
      },
    };
  } finally {
    device.destroy();
  }
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
