import type { ExpandedPlan, KernelVariant } from "../contract/expand.ts";
import type { DeviceStorage } from "../contract/layout.ts";
import { place } from "../contract/messages.ts";
import type { Artifact, Requirements } from "../contract/plan.ts";
import type { Pooled } from "../contract/pool.ts";
import type { TensorRules } from "../contract/tensor-faults.ts";
import type { CallResult, Excess, FaultDetails, LauncherFault, RunOptions } from "../launcher/backend.ts";
import { BUFFER_USAGE, PARAMETER_USAGE } from "./constants.ts";
import { checkDevice } from "./device-state.ts";
import { GpuError, type GpuErrorCode } from "./errors.ts";
import { deviceIdentity } from "./identity.ts";
import { findExcess, findOutputExcess, findShortfalls } from "./limits.ts";
import { type CompiledKernel, compileKernel } from "./pipelines.ts";
import { checkPlacement, checkSeparate } from "./placement.ts";
import { poolOf } from "./pool.ts";
import { submitCall } from "./submit.ts";
import type { GpuBackend, WebGpu, WebGpuCall } from "./target.ts";
import { allocate, type DeviceTensor, GPU_TENSORS, type OwnedTensor, owned } from "./tensors.ts";

const CODES = {
  unfit: "MTA710",
  plan: "MTA711",
  unprepared: "MTA715",
  storage: "MTA720",
  strides: "MTA721",
  alignment: "MTA722",
  shape: "MTA727",
  data: "MTA728",
  grid: "MTA730",
  memory: "MTA731",
  values: "MTA740",
  destroyed: "MTA741",
} as const satisfies Record<LauncherFault, GpuErrorCode>;

/** What to do, unless the error itself knows better. */
const REMEDIES: Partial<Record<LauncherFault, string>> = {
  unfit:
    "request the device with requestDevice(), which asks for the adapter's full limits, or compile for smaller limits",
  destroyed: "make a new one with createLauncher()",
};

/** A GPUDevice as launchers need it. */
export class WebGpuBackend implements GpuBackend {
  readonly device: GPUDevice;
  readonly target = "webgpu";
  readonly targetName = "WebGPU";
  readonly name = "this device";
  readonly identity: string;
  readonly tensors = GPU_TENSORS;
  readonly budget: number | undefined;

  constructor(device: GPUDevice, budget: number | undefined) {
    this.device = device;
    this.identity = deviceIdentity(device);
    this.budget = budget;
  }

  error(fault: LauncherFault, message: string, { remedy, kernel }: FaultDetails = {}): GpuError {
    const what = remedy ?? REMEDIES[fault];
    return new GpuError(CODES[fault], message, {
      ...(what === undefined ? {} : { remedy: what }),
      kernel: kernel?.name ?? null,
      source: kernel?.source ?? null,
    });
  }

  checkUsable(): void {
    checkDevice(this.device);
  }

  shortfalls(requires: Requirements): readonly string[] {
    return findShortfalls(requires, this.device);
  }

  findExcess(expanded: ExpandedPlan): Excess | null {
    return findExcess(this.device.limits, expanded);
  }

  findOutputExcess(bytes: number): string | null {
    return findOutputExcess(this.device.limits, bytes);
  }

  checkPlacement(name: string, tensor: DeviceTensor, { storage }: TensorRules): void {
    // Copies (WebGPU, "copyBufferToBuffer") work in words; bindings have an alignment of their own.
    if (storage === "i32") checkPlacement(name, tensor, { usage: "COPY_SRC", alignment: 4 });
    else {
      const alignment = this.device.limits.minStorageBufferOffsetAlignment;
      checkPlacement(name, tensor, { usage: "STORAGE", alignment });
    }
  }

  checkApart({ outputs, tensors, expanded }: WebGpuCall): void {
    if (outputs.size === 0) return;
    const bound = new Map([...tensors, ...outputs]);
    for (const { kernel } of expanded.variants) checkSeparate(kernel, bound);
  }

  allocate(shape: readonly number[], storage: DeviceStorage, label: string): OwnedTensor {
    return allocate(this.device, shape, storage, { label });
  }

  owned(tensor: DeviceTensor): OwnedTensor {
    return owned(tensor);
  }

  write(words: Float32Array<ArrayBuffer>): GPUBuffer {
    const descriptor = { label: "mtac parameters", size: words.byteLength, usage: PARAMETER_USAGE };
    const buffer = this.device.createBuffer(descriptor);
    this.device.queue.writeBuffer(buffer, 0, words);
    return buffer;
  }

  free(buffer: GPUBuffer): void {
    buffer.destroy();
  }

  borrow(bytes: number, label: string, usage: number = BUFFER_USAGE.STORAGE): Pooled<GPUBuffer> {
    return poolOf(this.device).acquire(Math.max(bytes, 16), usage, label);
  }

  giveBack(borrowed: Pooled<GPUBuffer>, sound: boolean): void {
    if (sound) poolOf(this.device).release(borrowed);
    else borrowed.buffer.destroy();
  }

  load(variant: KernelVariant, { name, sources }: Artifact): Promise<CompiledKernel> {
    const { kernel } = variant;
    const source = sources[kernel.file];
    if (source !== undefined) return compileKernel(this.device, variant, source);
    throw new GpuError(
      "MTA712",
      `attention "${name}" lacks the source ${kernel.file}${place(kernel.name, kernel.source)}`,
      { remedy: "compile the spec again", kernel: kernel.name, source: kernel.source },
    );
  }

  run(call: WebGpuCall, options: RunOptions): Promise<CallResult<DeviceTensor, WebGpu>> {
    return submitCall(this, call, options);
  }
}
