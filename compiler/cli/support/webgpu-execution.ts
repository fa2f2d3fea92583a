import type {
  AttentionInputs,
  Float64Tensor,
  HostTensor,
  Pipeline,
} from "../../../runtime/contract/index.ts";
import {
  createLauncher,
  type DeviceStorage,
  type DeviceTensor,
  download,
  requestDevice,
  upload,
} from "../../../runtime/index.ts";
import { openNodeGpu } from "../../../runtime/node.ts";
import { emitArtifact } from "../../emit/index.ts";
import type { TargetLimits } from "../../plan/index.ts";
import { type RunRequest, type RunResult, shapeOf } from "./run-request.ts";

/**
 * Computes an attention on the machine's best WebGPU adapter, with a plan made for its limits.
 * @throws MtacError MTA401 (no schedule fits the device), GpuError
 */
export async function executeOnWebGpu({ pipeline, call, schedule }: RunRequest): Promise<RunResult> {
  const { adapter, description } = await openNodeGpu();
  const device = await requestDevice(adapter, { label: "mtac run" });
  try {
    const artifact = emitArtifact(pipeline, {
      shape: shapeOf(call),
      variants: [limitsOf(device)],
      ...(schedule === undefined ? {} : { schedule }),
    });
    const parameters = new Map([...call.parameters].map(([name, tensor]) => [name, toHost(tensor)]));
    const launcher = await createLauncher(device, artifact, parameters, { timestamps: true });
    const { o, lse, statistics } = await launcher.forward(uploadInputs(device, pipeline, call.inputs));
    const tensors = new Map([["o", await toHostFloat64(device, o)]]);
    if (lse !== null) tensors.set("lse", await toHostFloat64(device, lse));
    launcher.destroy();
    const { kernels, wallMs, deviceMs, peakBytes, workspaceBytes, compulsoryBytes } = statistics;
    return {
      tensors,
      report: {
        target: "webgpu",
        device: description,
        schedule: statistics.schedule,
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

function uploadInputs(
  device: GPUDevice,
  pipeline: Pipeline,
  inputs: AttentionInputs<Float64Tensor>,
): AttentionInputs<DeviceTensor> {
  const { storage } = pipeline;
  const put = (tensor: Float64Tensor, as: DeviceStorage): DeviceTensor =>
    upload(device, as === "i32" ? toIntegers(tensor) : tensor, as);
  const { q, k, v, qHistory, documents, lengths, positions, bias, layer } = inputs;
  return {
    q: put(q, storage),
    k: put(k, storage),
    v: put(v, storage),
    ...(qHistory === undefined ? {} : { qHistory: put(qHistory, storage) }),
    ...(documents === undefined ? {} : { documents: put(documents, "i32") }),
    ...(lengths === undefined ? {} : { lengths: put(lengths, "i32") }),
    ...(positions === undefined ? {} : { positions: put(positions, "i32") }),
    ...(bias === undefined ? {} : { bias: put(bias, "f32") }),
    ...(layer === undefined ? {} : { layer }),
  };
}

function toHost({ shape, data }: Float64Tensor): HostTensor {
  return { shape, data: Float32Array.from(data) };
}

function toIntegers({ shape, data }: Float64Tensor): HostTensor {
  return { shape, data: Int32Array.from(data) };
}

async function toHostFloat64(device: GPUDevice, tensor: DeviceTensor): Promise<Float64Tensor> {
  return { shape: tensor.shape, data: Float64Array.from(await download(device, tensor)) };
}
