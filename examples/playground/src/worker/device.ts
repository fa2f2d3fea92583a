import { hostParameters } from "../../../../compiler/execution/call-tensors.ts";
import { compareTensors } from "../../../../compiler/execution/comparison.ts";
import { type ForwardDevice, forwardOn } from "../../../../compiler/execution/device.ts";
import { randomCall } from "../../../../compiler/execution/random-call.ts";
import { referenceTensors } from "../../../../compiler/execution/reference-results.ts";
import type { AttentionCall } from "../../../../compiler/execution/request.ts";
import { EVERY_GRADIENT, type TrainingLauncher, trainWith } from "../../../../compiler/execution/training.ts";
import { limitsOf } from "../../../../compiler/execution/webgpu-limits.ts";
import {
  type AutoDevice,
  type AutoTensor,
  type CallStatistics,
  openDevice as openAuto,
} from "../../../../runtime/auto/index.ts";
import type { Artifact, Float64Tensor, Pipeline } from "../../../../runtime/contract/index.ts";
import { DEVICE_NAMES, type DeviceChoice } from "../state/settings.ts";
import type { DeviceReply, RunProgress, RunReply, RunRequest } from "./protocol.ts";

/** The device that was asked for last, and what it is. */
let opened: { readonly choice: DeviceChoice; readonly device: Promise<AutoDevice> } | null = null;

/**
 * Opens what the page computes with, or finds it open already. Only the runtime of that is loaded.
 * @throws GpuError and CpuError as `openDevice` of `mtac/runtime/auto`
 */
export async function openDevice(choice: DeviceChoice): Promise<DeviceReply> {
  const { gpu, cpu, description: name, reason } = await currentDevice(choice);
  if (gpu !== null) return { kind: "webgpu", name, limits: limitsOf(gpu) };
  if (cpu === null) throw new TypeError(`${name} is neither a GPU nor a processor`);
  const { lanes, threads } = cpu.library;
  return { kind: "wasm", name, reason, processor: { lanes, threads } };
}

async function currentDevice(choice: DeviceChoice): Promise<AutoDevice> {
  if (opened?.choice !== choice) {
    const before = opened?.device;
    opened = { choice, device: open(choice) };
    void before?.then(
      (device) => device.close(),
      () => undefined,
    );
  }
  try {
    return await opened.device;
  } catch (error) {
    // The next attempt may find one.
    opened = null;
    throw error;
  }
}

async function open(choice: DeviceChoice): Promise<AutoDevice> {
  const webgpu = { label: "mtac playground" };
  const device = await openAuto(choice === "auto" ? { webgpu } : { kind: choice, webgpu });
  void device.gpu?.lost.then(() => {
    opened = null;
  });
  return device;
}

/**
 * Random inputs and parameters on the device and on the float64 reference, compared: what `mtac verify` does.
 * @throws GpuError, CpuError, and MtacError MTA601 … MTA613 when the shape does not fit the attention
 */
export async function runAttention(
  { pipeline, shape, seed, layer, gradients, device: choice, artifact }: RunRequest,
  progress: (value: RunProgress) => void,
): Promise<RunReply> {
  const call = randomCall(pipeline, shape, { seed, layer: layer ?? undefined, grad: gradients });
  const computed = artifact === null ? null : await runOnDevice(pipeline, call, choice, artifact, progress);
  const start = performance.now();
  const expected = runReference(pipeline, call, progress);
  const referenceMs = performance.now() - start;
  if (computed === null) return { device: null, referenceMs };
  const { tensors, ...device } = computed;
  return {
    device: { ...device, errors: compareTensors(tensors, expected, pipeline.storage) },
    referenceMs,
  };
}

async function runOnDevice(
  pipeline: Pipeline,
  call: AttentionCall,
  choice: DeviceChoice,
  artifact: Artifact,
  progress: (value: RunProgress) => void,
) {
  const device = await currentDevice(choice);
  const { kind, description: name } = device;
  progress({ phase: "compiling kernels", share: null });
  const start = performance.now();
  let compileMs = 0;
  const request = {
    pipeline,
    call,
    compiled: () => {
      compileMs = performance.now() - start;
      progress({ phase: `running on ${DEVICE_NAMES[kind]}`, share: null });
    },
  };
  const { dO } = call;
  const { tensors, statistics, backward } =
    dO === null
      ? { ...(await forwardOn(callDevice(device), artifact, request)), backward: null }
      : await trainWith(callDevice(device), await trainingLauncher(device, artifact, call), request, dO);
  return { kind, name, statistics, backward, compileMs, tensors };
}

function callDevice({ runtime }: AutoDevice): ForwardDevice<AutoTensor, CallStatistics> {
  return {
    launch: (artifact, parameters) => runtime.launch(artifact, parameters, { timestamps: true }),
    upload: (tensor, storage) => runtime.upload(tensor, storage, undefined),
    download: (tensor) => runtime.download(tensor),
  };
}

async function trainingLauncher(
  { runtime }: AutoDevice,
  artifact: Artifact,
  { parameters }: AttentionCall,
): Promise<TrainingLauncher<AutoTensor, CallStatistics>> {
  const launcher = await runtime.launch(artifact, hostParameters(parameters), { timestamps: true });
  return {
    forward: (inputs) => launcher.forward(inputs, { save: true }),
    backward: (saved, dO) => launcher.backward(saved, dO, { wanted: EVERY_GRADIENT }),
    destroy: () => launcher.destroy(),
  };
}

function runReference(
  pipeline: Pipeline,
  call: AttentionCall,
  progress: (value: RunProgress) => void,
): ReadonlyMap<string, Float64Tensor> {
  const [batches = 1] = call.inputs.q.shape;
  // q·kᵀ, the normaliser, A·v, and the stages, for each batch entry; then the maps once more, backwards.
  const maps = 2 + pipeline.scores.length + pipeline.weights.length;
  const steps = batches * (maps + 1 + pipeline.output.length + (call.dO === null ? 0 : maps));
  let done = 0;
  const tell = (): void => progress({ phase: "computing the reference", share: done / steps });
  tell();
  const trace = (): void => {
    done += 1;
    tell();
  };
  return referenceTensors(pipeline, call, { trace, gradientTrace: trace });
}
