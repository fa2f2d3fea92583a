import type { ExpandedPlan, KernelVariant } from "../contract/expand.ts";
import type { DeviceStorage } from "../contract/layout.ts";
import { formatBytes, place } from "../contract/messages.ts";
import type { Artifact, Plan } from "../contract/plan.ts";
import type { Pooled } from "../contract/pool.ts";
import type { TensorRules } from "../contract/tensor-faults.ts";
import type {
  CallOutcome,
  Excess,
  FaultDetails,
  LauncherFault,
  RunOptions,
  SizeLimits,
} from "../launcher/backend.ts";
import { findGridExcess, sizeChecks } from "../launcher/limits.ts";
import { type Need, shortfalls } from "../launcher/plan-choice.ts";
import { BUFFER_USAGE, PARAMETER_USAGE } from "./constants.ts";
import { checkDevice } from "./device-state.ts";
import { GpuError, type GpuErrorCode } from "./errors.ts";
import { deviceIdentity } from "./identity.ts";
import { type CompiledKernel, compileKernel } from "./pipelines.ts";
import { checkPlacement, checkSeparate } from "./placement.ts";
import { poolOf } from "./pool.ts";
import { submitCall } from "./submit.ts";
import type { GpuBackend, WebGpu, WebGpuCall } from "./target.ts";
import { allocate, type DeviceTensor, download, GPU_TENSORS, type OwnedTensor, owned } from "./tensors.ts";

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

/** Limits of a device that bound what one kernel may use. */
type ShaderLimit =
  | "maxComputeWorkgroupStorageSize"
  | "maxComputeInvocationsPerWorkgroup"
  | "maxComputeWorkgroupSizeX"
  | "maxStorageBuffersPerShaderStage";

/** A GPUDevice as launchers need it. */
export class WebGpuBackend implements GpuBackend, SizeLimits {
  readonly device: GPUDevice;
  readonly target = "webgpu";
  readonly targetName = "WebGPU";
  readonly name = "this device";
  readonly identity: string;
  readonly tensors = GPU_TENSORS;
  readonly sizes = sizeChecks(this);
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

  shortfalls({ requires }: Plan): readonly string[] {
    const { workgroupBytes, invocations, storageBuffers, features } = requires;
    const { limits } = this.device;
    const need = (
      needed: number,
      limit: ShaderLimit,
      what: string,
      show: (value: number) => string = String,
    ): Need => [needed, limits[limit], what, limit, show];
    const narrow = limits.maxComputeWorkgroupSizeX < limits.maxComputeInvocationsPerWorkgroup;
    const own: { has(feature: string): boolean } = this.device.features;
    return [
      ...shortfalls([
        need(workgroupBytes, "maxComputeWorkgroupStorageSize", "of workgroup memory", formatBytes),
        need(invocations, "maxComputeInvocationsPerWorkgroup", "invocations a workgroup"),
        // All kernels are one-dimensional, so the x axis limits them too.
        ...(narrow ? [need(invocations, "maxComputeWorkgroupSizeX", "invocations along x")] : []),
        need(storageBuffers, "maxStorageBuffersPerShaderStage", "storage buffers"),
      ]),
      ...features.filter((feature) => !own.has(feature)).map((feature) => `needs the feature ${feature}`),
    ];
  }

  findExcess(expanded: ExpandedPlan): Excess | null {
    const [limit, limitName] = this.#largestBuffer();
    const large = expanded.workspace.find(({ bytes }) => bytes > limit);
    if (large !== undefined) {
      const { name, bytes } = large;
      const message =
        `the workspace "${name}" needs ${formatBytes(bytes)}, ${formatBytes(bytes - limit)} more than the device's ` +
        `${formatBytes(limit)} (${limitName})`;
      return { fault: "memory", message, kernel: null };
    }
    const axis = "maxComputeWorkgroupsPerDimension";
    const most = this.device.limits[axis];
    const words = { launch: "dispatch", units: "workgroups", limits: [axis, axis, axis] } as const;
    return findGridExcess(expanded, [most, most, most], words);
  }

  findOutputExcess(bytes: number): string | null {
    const [limit] = this.#largestBuffer();
    if (bytes <= limit) return null;
    return `${formatBytes(bytes)}, ${formatBytes(bytes - limit)} more than the device allows in one buffer`;
  }

  checkPlacement(name: string, tensor: DeviceTensor, { storage }: TensorRules): void {
    // Copies (WebGPU, "copyBufferToBuffer") work in words; bindings have an alignment of their own.
    if (storage === "i32") checkPlacement(name, tensor, { usage: "COPY_SRC", alignment: 4 });
    else {
      const alignment = this.device.limits.minStorageBufferOffsetAlignment;
      checkPlacement(name, tensor, { usage: "STORAGE", alignment });
    }
  }

  checkApart({ outputs, tensors }: WebGpuCall): void {
    checkSeparate(outputs, tensors);
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

  read(tensor: DeviceTensor): Promise<Float32Array | Int32Array> {
    return download(this.device, tensor);
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

  run(call: WebGpuCall, options: RunOptions): Promise<CallOutcome<DeviceTensor, WebGpu>> {
    return submitCall(this, call, options);
  }

  #largestBuffer(): readonly [bytes: number, limit: string] {
    const { maxStorageBufferBindingSize: bound, maxBufferSize: whole } = this.device.limits;
    return bound <= whole ? [bound, "maxStorageBufferBindingSize"] : [whole, "maxBufferSize"];
  }
}
