import type { Float64Tensor } from "../../runtime/contract/index.ts";
import {
  type CudaDevice,
  type CudaTensor,
  createCudaLauncher,
  deviceIdentity,
  download,
  openCuda,
  openEmulatedCuda,
  upload,
} from "../../runtime/cuda/index.ts";
import { emitCudaArtifact, emitKernels } from "../emit/index.ts";
import { cudaArchitecture, cudaMachine } from "../plan/index.ts";
import { hostParameters, placeInputs } from "./call-tensors.ts";
import { type RunRequest, type RunResult, shapeOf } from "./request.ts";

/**
 * Computes an attention on a CUDA device, or on the emulated one, with a plan made for its architecture.
 *
 * @throws MtacError MTA405 (no schedule fits), CudaError, EmulatorError
 */
export async function executeOnCuda(
  target: "cuda" | "cuda-emulated",
  request: RunRequest,
): Promise<RunResult> {
  request.onStep?.("opening the device");
  const device = await open(target, request.architecture);
  try {
    return await compute(target, device, request);
  } finally {
    await device.close();
  }
}

function open(target: "cuda" | "cuda-emulated", architecture: string | undefined): Promise<CudaDevice> {
  const options = architecture === undefined ? {} : { architecture };
  return target === "cuda" ? openCuda(options) : openEmulatedCuda(options);
}

async function compute(
  target: "cuda" | "cuda-emulated",
  device: CudaDevice,
  { pipeline, call, schedule, tuned, onStep }: RunRequest,
): Promise<RunResult> {
  const { properties } = device;
  const architecture = cudaArchitecture(properties.architecture);
  const won =
    architecture === null
      ? null
      : (tuned?.({ target, identity: deviceIdentity(properties), machine: cudaMachine(architecture) }) ??
        null);
  const artifact =
    won === null
      ? emitCudaArtifact(pipeline, {
          shape: shapeOf(call),
          architectures: [properties.architecture],
          ...(schedule === undefined ? {} : { schedule }),
        })
      : { name: pipeline.name, plans: [won], sources: emitKernels(won) };
  const parameters = hostParameters(call.parameters);
  onStep?.("compiling the kernels");
  const launcher = await createCudaLauncher(device, artifact, parameters, { timestamps: true });
  const inputs = placeInputs(pipeline, call.inputs, (tensor, as) => upload(device, tensor, as));
  onStep?.(target === "cuda" ? "computing" : "computing on the emulated device");
  const { o, lse, statistics } = await launcher.forward(inputs);
  const tensors = new Map([["o", await toFloat64(device, o)]]);
  if (lse !== null) tensors.set("lse", await toFloat64(device, lse));
  launcher.destroy();
  const { kernels, wallMs, deviceMs, peakBytes, workspaceBytes, compulsoryBytes, counters } = statistics;
  return {
    tensors,
    report: {
      target,
      device: device.properties.name,
      schedule: statistics.schedule,
      choice: won === null ? "planner" : "tuned",
      kernels,
      wallMs,
      deviceMs,
      peakBytes,
      workspaceBytes,
      compulsoryBytes,
      ...(counters === null ? {} : { counters }),
    },
  };
}

/** A tensor of a device on the host. */
export async function toFloat64(device: CudaDevice, tensor: CudaTensor): Promise<Float64Tensor> {
  return { shape: tensor.shape, data: Float64Array.from(await download(device, tensor)) };
}
