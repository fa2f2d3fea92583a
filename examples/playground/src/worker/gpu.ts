import { compareTensors } from "../../../../compiler/execution/comparison.ts";
import { randomCall } from "../../../../compiler/execution/random-call.ts";
import type { AttentionCall } from "../../../../compiler/execution/request.ts";
import { forwardOnDevice, limitsOf } from "../../../../compiler/execution/webgpu-device.ts";
import type { Artifact, Float64Tensor, Pipeline } from "../../../../runtime/contract/index.ts";
import { openBrowserGpu } from "../../../../runtime/index.ts";
import { referenceForward } from "../../../../runtime/reference/index.ts";
import type { DeviceReply, RunProgress, RunReply, RunRequest } from "./protocol.ts";

interface OpenDevice {
  readonly device: GPUDevice;
  readonly name: string;
}

let opened: Promise<OpenDevice> | null = null;

/**
 * Opens the visitor's GPU, or finds it open already.
 * @throws GpuError as `openBrowserGpu`
 */
export async function openDevice(): Promise<DeviceReply> {
  const { device, name } = await currentDevice();
  return { name, limits: limitsOf(device), timestamps: device.features.has("timestamp-query") };
}

async function currentDevice(): Promise<OpenDevice> {
  opened ??= requestOpen();
  try {
    return await opened;
  } catch (error) {
    // The next attempt may find a GPU.
    opened = null;
    throw error;
  }
}

async function requestOpen(): Promise<OpenDevice> {
  const { device, description } = await openBrowserGpu({ label: "mtac playground" });
  void device.lost.then(() => {
    opened = null;
  });
  return { device, name: description };
}

/**
 * Random inputs and parameters on the GPU and on the float64 reference, compared: what `mtac verify` does.
 * @throws GpuError, and MtacError MTA601 … MTA613 when the shape does not fit the attention
 */
export async function runAttention(
  { pipeline, shape, seed, layer, artifact }: RunRequest,
  progress: (value: RunProgress) => void,
): Promise<RunReply> {
  const call = randomCall(pipeline, shape, { seed, layer: layer ?? undefined, grad: false });
  const gpu = artifact === null ? null : await runOnDevice(pipeline, call, artifact, progress);
  const start = performance.now();
  const expected = runReference(pipeline, call, progress);
  const referenceMs = performance.now() - start;
  if (gpu === null) return { device: null, referenceMs };
  const { tensors, ...device } = gpu;
  return {
    device: { ...device, errors: compareTensors(tensors, expected, pipeline.storage) },
    referenceMs,
  };
}

async function runOnDevice(
  pipeline: Pipeline,
  call: AttentionCall,
  artifact: Artifact,
  progress: (value: RunProgress) => void,
) {
  const { device, name } = await currentDevice();
  progress({ phase: "compiling kernels", share: null });
  const start = performance.now();
  let compileMs = 0;
  const { tensors, statistics } = await forwardOnDevice(device, artifact, {
    pipeline,
    call,
    compiled: () => {
      compileMs = performance.now() - start;
      progress({ phase: "running on the GPU", share: null });
    },
  });
  return { name, statistics, compileMs, tensors };
}

function runReference(
  pipeline: Pipeline,
  { inputs, parameters }: AttentionCall,
  progress: (value: RunProgress) => void,
): ReadonlyMap<string, Float64Tensor> {
  const [batches = 1] = inputs.q.shape;
  // q·kᵀ, the normaliser, A·v, and the stages, for each batch entry.
  const steps = batches * (3 + pipeline.scores.length + pipeline.weights.length + pipeline.output.length);
  let done = 0;
  const tell = (): void => progress({ phase: "computing the reference", share: done / steps });
  tell();
  const { o, lse } = referenceForward(pipeline, parameters, inputs, {
    trace: () => {
      done += 1;
      tell();
    },
  });
  return new Map(
    lse === null
      ? [["o", o]]
      : [
          ["o", o],
          ["lse", lse],
        ],
  );
}
