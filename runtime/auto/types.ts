import type { CallStatistics, PrepareSize, Timing } from "../contract/call.ts";
import type { DeviceStorage, Layout, UploadSource } from "../contract/layout.ts";
import type { ParameterValues } from "../contract/parameters.ts";
import type { Artifact, Plan } from "../contract/plan.ts";
import type { AttentionInputs, CallShape, HostTensor } from "../contract/tensor.ts";
import type { TensorOptions, TypedTensor } from "../contract/typed-tensor.ts";
import type { CpuDevice } from "../cpu/device.ts";
import type { CallOutputs, ForwardOptions } from "../launcher/backend.ts";
import type { BackwardOptions, SavedResult, SomeGradients } from "../launcher/gradients.ts";
import type { SavedCall } from "../launcher/saved.ts";

/** What an `AutoDevice` computes with. */
export type AutoKind = "webgpu" | "wasm";

/** A tensor on an `AutoDevice`, whichever it is. Made by `upload` or `allocate`; it goes with the device that it was made for. */
export interface AutoTensor<
  Storage extends DeviceStorage = DeviceStorage,
  Shape extends readonly number[] = readonly number[],
> extends TypedTensor<Storage, Shape>,
    Layout {}

/** A tensor that is the caller's: `destroy()` it, or declare it with `using`. */
export interface OwnedAutoTensor<
  Storage extends DeviceStorage = DeviceStorage,
  Shape extends readonly number[] = readonly number[],
> extends AutoTensor<Storage, Shape> {
  /** Frees the memory; the calls that use it must have ended. */
  destroy(): void;
  /** As `destroy`. */
  [Symbol.dispose](): void;
}

/** Where a call's results go. */
export interface AutoOutputs extends CallOutputs<AutoTensor> {}

/** What a call gives; tensors stay on the device. */
export interface AutoForwardResult {
  /** [B, H, Lq, Dv]; the caller's to destroy (`o.destroy()`). */
  readonly o: OwnedAutoTensor;
  /** f32 [B, H, Lq]; null with sparsemax. */
  readonly lse: OwnedAutoTensor | null;
  readonly statistics: CallStatistics;
}

/** Which gradients a backward pass computes, and where they go. */
export interface AutoBackwardOptions extends BackwardOptions<AutoTensor> {}

/** Gradients of Σ o·dO, all f32; tensors stay on the device, and are the caller's to destroy. */
export interface AutoGradients {
  /** [B, H, Lq, D] */
  readonly dQ: OwnedAutoTensor;
  /** [B, H, R, D]; null where the call has no history. */
  readonly dQHistory: OwnedAutoTensor | null;
  /** [B, Hkv, Lk, D] */
  readonly dK: OwnedAutoTensor;
  /** [B, Hkv, Lk, Dv] */
  readonly dV: OwnedAutoTensor;
  /** In the shape of the bias, summed up along its axes of one element; null where it was not asked for, or the mask has no bias. */
  readonly dBias: OwnedAutoTensor | null;
  /** On the host, by name, each in its parameter's shape. */
  readonly parameters: ReadonlyMap<string, HostTensor>;
  /** The same as one tensor on the device; null where it was not asked for, or there are no parameters. */
  readonly dParameters: OwnedAutoTensor | null;
  readonly statistics: CallStatistics;
}

/** How a launcher measures. */
export interface AutoLauncherOptions {
  /** Measure device time, where the device can tell it. */
  readonly timestamps?: boolean;
}

/** An attention's kernels for each kind of device, which are loaded when they are needed. Made by a build step. */
export interface AutoArtifact {
  readonly name: string;
  /** Tells the kernels from others of the same name. */
  readonly digest: string;
  /** Loads WGSL, and plans for GPUs. */
  webgpu(): Promise<LoadedKernels>;
  /** Loads plans for the processor. */
  wasm(): Promise<LoadedKernels>;
}

/** The module of an attention's kernels for one kind of device. */
export interface LoadedKernels {
  readonly artifact: Artifact;
}

/** A launcher of either runtime. Methods, whose parameters TypeScript compares in both directions: tensors are told apart when calls are checked. */
export interface RuntimeLauncher {
  readonly artifact: Artifact;
  readonly plan: Plan;
  readonly parameters: ReadonlyMap<string, HostTensor>;
  planFor(shape: CallShape): Plan;
  forward(
    inputs: AttentionInputs<AutoTensor>,
    options: ForwardOptions<AutoTensor> & { readonly save: true },
  ): Promise<SavedResult<AutoForwardResult>>;
  forward(
    inputs: AttentionInputs<AutoTensor>,
    options?: ForwardOptions<AutoTensor>,
  ): Promise<AutoForwardResult>;
  backward(
    saved: SavedCall,
    dO: AutoTensor,
    options?: AutoBackwardOptions & { readonly wanted?: undefined },
  ): Promise<AutoGradients>;
  backward(
    saved: SavedCall,
    dO: AutoTensor,
    options: AutoBackwardOptions,
  ): Promise<SomeGradients<AutoGradients>>;
  time(inputs: AttentionInputs<AutoTensor>, options?: { readonly repeats?: number }): Promise<Timing>;
  prepare(size: PrepareSize): Promise<void>;
  setParameters(parameters: ParameterValues): void;
  destroy(): void;
}

/** One of the two runtimes with a device that it opened: what is loaded when it is chosen. */
export interface Runtime {
  readonly kind: AutoKind;
  readonly description: string;
  /** Null where it computes on the processor. */
  readonly gpu: GPUDevice | null;
  /** Null where it computes on a GPU. */
  readonly cpu: CpuDevice | null;
  launch(
    artifact: Artifact,
    parameters: ParameterValues,
    options: AutoLauncherOptions,
  ): Promise<RuntimeLauncher>;
  allocate<const Shape extends readonly number[], const Storage extends DeviceStorage>(
    shape: Shape,
    storage: Storage,
    options: TensorOptions,
  ): OwnedAutoTensor<Storage, Shape>;
  upload<const Shape extends readonly number[], const Storage extends DeviceStorage>(
    source: UploadSource<Shape>,
    storage: Storage,
    strides: readonly number[] | undefined,
  ): OwnedAutoTensor<Storage, Shape>;
  download(tensor: AutoTensor): Promise<Float32Array | Int32Array>;
  releaseWorkspace(): void;
  close(): Promise<void>;
}
