import type { CallFootprint } from "../../runtime/contract/call.ts";
import type { Float64Tensor, Pipeline, Plan } from "../../runtime/contract/index.ts";
import {
  type AttentionInputs,
  allocate,
  boundOf,
  type CudaDevice,
  type CudaLauncher,
  type CudaOutputs,
  type CudaTensor,
  createCudaLauncher,
  deviceIdentity,
  estimateCycles,
  openCuda,
  openEmulatedCuda,
  release,
  upload,
} from "../../runtime/cuda/index.ts";
import { emitKernels } from "../emit/index.ts";
import { cudaMachine, type Machine, plannedArchitecture } from "../plan/index.ts";
import { hostParameters, placeInputs } from "./call-tensors.ts";
import { toFloat64 } from "./cuda.ts";
import {
  type Meter,
  type MeteredPlan,
  type PlacedCall,
  readResults,
  type Sample,
  timedSample,
} from "./meter.ts";
import { type AttentionCall, shapeOf } from "./request.ts";

export interface CudaMeterOptions {
  readonly target: "cuda" | "cuda-emulated";
  /** What kernels are compiled for; the device's own, or sm_80 where it is emulated. */
  readonly architecture?: string | undefined;
}

/**
 * A CUDA device through its driver, or the emulated one.
 * @throws CudaError MTA801 … MTA808; RangeError for an architecture that the planner does not know
 */
export async function openCudaMeter(options: CudaMeterOptions): Promise<CudaMeter> {
  return new CudaMeter(options, await openDevice(options));
}

function openDevice({ target, architecture }: CudaMeterOptions): Promise<CudaDevice> {
  const options = architecture === undefined ? {} : { architecture };
  return target === "cuda" ? openCuda(options) : openEmulatedCuda({ ...options, checks: "bounds" });
}

/** A call on a CUDA device. */
class CudaCall implements PlacedCall {
  readonly device: CudaDevice;
  readonly inputs: AttentionInputs<CudaTensor>;
  readonly outputs: CudaOutputs;

  constructor(device: CudaDevice, inputs: AttentionInputs<CudaTensor>, outputs: CudaOutputs) {
    this.device = device;
    this.inputs = inputs;
    this.outputs = outputs;
  }

  release(): void {
    for (const tensor of [...Object.values(this.inputs), ...Object.values(this.outputs)])
      if (typeof tensor === "object" && "address" in tensor) release(this.device, tensor);
  }
}

class CudaPlan implements MeteredPlan<CudaCall> {
  readonly #launcher: CudaLauncher;
  #footprint: CallFootprint | null = null;

  constructor(launcher: CudaLauncher) {
    this.#launcher = launcher;
  }

  async sample({ inputs, outputs }: CudaCall): Promise<Sample> {
    const { statistics } = await this.#launcher.forward(inputs, outputs);
    this.#footprint = statistics;
    const { kernelCounters, counters } = statistics;
    if (counters !== null) {
      // Kernels follow each other, each as long as its busiest unit.
      const cycles = kernelCounters.map((each) => boundOf(estimateCycles(each.counters)).cycles);
      return { time: cycles.reduce((sum, each) => sum + each, 0), clock: "estimate" };
    }
    return timedSample(statistics);
  }

  results({ device, outputs }: CudaCall): Promise<ReadonlyMap<string, Float64Tensor>> {
    return readResults(outputs, (tensor) => toFloat64(device, tensor));
  }

  footprint(): CallFootprint | null {
    return this.#footprint;
  }

  release(): void {
    this.#launcher.destroy();
  }
}

/** Times plans on a CUDA device by events; on the emulated one counts cycles. */
export class CudaMeter implements Meter<CudaCall> {
  readonly target: "cuda" | "cuda-emulated";
  readonly unit: "ns" | "cycles";
  readonly exact: boolean;
  readonly gpu = null;
  readonly description: string;
  readonly identity: string;
  readonly machine: Machine;
  readonly #options: CudaMeterOptions;
  #device: CudaDevice;

  constructor(options: CudaMeterOptions, device: CudaDevice) {
    const { properties } = device;
    const architecture = plannedArchitecture(properties.architecture);
    this.#options = options;
    this.#device = device;
    this.target = options.target;
    this.exact = options.target === "cuda-emulated";
    this.unit = this.exact ? "cycles" : "ns";
    this.description = properties.name;
    this.identity = deviceIdentity(properties);
    this.machine = cudaMachine(architecture);
  }

  place(pipeline: Pipeline, call: AttentionCall): CudaCall {
    const device = this.#device;
    const { B, Lq } = shapeOf(call);
    const { heads, valueDim, storage, normalize } = pipeline;
    const o = allocate(device, [B, heads, Lq, valueDim], storage, { label: "mtac o" });
    const lse = allocate(device, [B, heads, Lq], "f32", { label: "mtac lse" });
    return new CudaCall(
      device,
      placeInputs(pipeline, call.inputs, (tensor, as) => upload(device, tensor, as)),
      normalize === "softmax" ? { o, lse } : { o },
    );
  }

  async open(plan: Plan, call: AttentionCall): Promise<CudaPlan> {
    const artifact = { name: plan.pipeline.name, plans: [plan], sources: emitKernels(plan) };
    const parameters = hostParameters(call.parameters);
    return new CudaPlan(await createCudaLauncher(this.#device, artifact, parameters, { timestamps: true }));
  }

  async restart(): Promise<void> {
    await this.#device.close().catch(() => undefined);
    this.#device = await openDevice(this.#options);
  }

  close(): Promise<void> {
    return this.#device.close();
  }
}
