import type { CallFootprint } from "../../runtime/contract/call.ts";
import type { Float64Tensor, Pipeline, Plan } from "../../runtime/contract/index.ts";
import {
  type AttentionInputs,
  type AttentionOutputs,
  allocate,
  createLauncher,
  type DeviceTensor,
  deviceIdentity,
  type Launcher,
  releaseWorkspace,
  requestDevice,
  upload,
} from "../../runtime/index.ts";
import { openNodeGpu } from "../../runtime/node.ts";
import { emitKernels } from "../emit/index.ts";
import { type Machine, webgpuMachine } from "../plan/index.ts";
import { hostParameters, placeInputs } from "./call-tensors.ts";
import {
  type Meter,
  type MeteredPlan,
  type PlacedCall,
  readResults,
  type Sample,
  timedSample,
} from "./meter.ts";
import { type AttentionCall, shapeOf } from "./request.ts";
import { limitsOf, toFloat64 } from "./webgpu-device.ts";

/** The machine's best WebGPU adapter. @throws GpuError MTA701 … MTA706 */
export async function openWebGpuMeter(): Promise<WebGpuMeter> {
  const { device, description } = await openDevice();
  return new WebGpuMeter(device, description);
}

async function openDevice(): Promise<{ readonly device: GPUDevice; readonly description: string }> {
  const { adapter, description } = await openNodeGpu();
  return { device: await requestDevice(adapter, { label: "mtac meter" }), description };
}

/** A call on a WebGPU device. */
class WebGpuCall implements PlacedCall {
  readonly inputs: AttentionInputs<DeviceTensor>;
  readonly outputs: AttentionOutputs;

  constructor(inputs: AttentionInputs<DeviceTensor>, outputs: AttentionOutputs) {
    this.inputs = inputs;
    this.outputs = outputs;
  }

  release(): void {
    for (const tensor of [...Object.values(this.inputs), ...Object.values(this.outputs)])
      if (typeof tensor === "object" && "buffer" in tensor) tensor.buffer.destroy();
  }
}

class WebGpuPlan implements MeteredPlan<WebGpuCall> {
  readonly #launcher: Launcher;
  #footprint: CallFootprint | null = null;

  constructor(launcher: Launcher) {
    this.#launcher = launcher;
  }

  async sample({ inputs, outputs }: WebGpuCall): Promise<Sample> {
    const { statistics } = await this.#launcher.forward(inputs, outputs);
    this.#footprint = statistics;
    return timedSample(statistics);
  }

  results({ outputs }: WebGpuCall): Promise<ReadonlyMap<string, Float64Tensor>> {
    return readResults(outputs, (tensor) => toFloat64(this.#launcher.device, tensor));
  }

  footprint(): CallFootprint | null {
    return this.#footprint;
  }

  release(): void {
    this.#launcher.destroy();
  }
}

/** Times plans on a WebGPU device, by its own clock where it has one. */
export class WebGpuMeter implements Meter<WebGpuCall> {
  readonly target = "webgpu";
  readonly unit = "ns";
  readonly exact = false;
  readonly description: string;
  readonly identity: string;
  readonly machine: Machine;
  #device: GPUDevice;

  constructor(device: GPUDevice, description: string) {
    this.#device = device;
    this.description = description;
    this.identity = deviceIdentity(device);
    this.machine = webgpuMachine(limitsOf(device));
  }

  get gpu(): GPUDevice {
    return this.#device;
  }

  place(pipeline: Pipeline, call: AttentionCall): WebGpuCall {
    const device = this.#device;
    const { B, Lq } = shapeOf(call);
    const { heads, valueDim, storage, normalize } = pipeline;
    const o = allocate(device, [B, heads, Lq, valueDim], storage, { label: "mtac o" });
    const lse = allocate(device, [B, heads, Lq], "f32", { label: "mtac lse" });
    return new WebGpuCall(
      placeInputs(pipeline, call.inputs, (tensor, as) => upload(device, tensor, as)),
      normalize === "softmax" ? { o, lse } : { o },
    );
  }

  async open(plan: Plan, call: AttentionCall): Promise<WebGpuPlan> {
    const artifact = { name: plan.pipeline.name, plans: [plan], sources: emitKernels(plan) };
    const parameters = hostParameters(call.parameters);
    return new WebGpuPlan(await createLauncher(this.#device, artifact, parameters, { timestamps: true }));
  }

  async restart(): Promise<void> {
    this.#device.destroy();
    this.#device = (await openDevice()).device;
  }

  async close(): Promise<void> {
    releaseWorkspace(this.#device);
    this.#device.destroy();
  }
}
