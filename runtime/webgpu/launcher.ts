import type { CallFootprint } from "../contract/call.ts";
import type { ParameterValues } from "../contract/parameters.ts";
import type { Artifact } from "../contract/plan.ts";
import type { AttentionInputs } from "../contract/tensor.ts";
import type { CallOutputs, CallResult, ForwardOptions } from "../launcher/backend.ts";
import type { BackwardOptions, Gradients, SavedResult, SomeGradients } from "../launcher/gradients.ts";
import { AttentionLauncher, type CommonOptions, readied } from "../launcher/launcher.ts";
import type { SavedCall } from "../launcher/saved.ts";
import { WebGpuBackend } from "./backend.ts";
import { checkDevice, checkEncoder } from "./device-state.ts";
import { inErrorScopes } from "./error-scopes.ts";
import { CallExecution } from "./execution.ts";
import { contextOf } from "./submit.ts";
import type { GpuBackend, WebGpu, WebGpuCall } from "./target.ts";
import type { DeviceTensor } from "./tensors.ts";

/** How a launcher chooses plans, submits and measures. */
export interface LauncherOptions extends CommonOptions {
  /** Multiply-adds of one submission; measured and adapted to the device if not given. */
  readonly submissionBudget?: number;
}

/** Where a call's results go. */
export interface AttentionOutputs extends CallOutputs<DeviceTensor> {}

/** What a call gives; tensors stay on the device. */
export interface ForwardResult extends CallResult<DeviceTensor, WebGpu> {}

/** Which gradients a backward pass computes, and where they go. */
export interface AttentionBackwardOptions extends BackwardOptions<DeviceTensor> {}

/** What a backward pass gives; tensors stay on the device. */
export interface AttentionGradients extends Gradients<DeviceTensor, WebGpu> {}

/** Commands that were recorded into the caller's encoder. Results are valid once they have run. */
export interface Recorded {
  readonly footprint: CallFootprint;
  /** Rejects with a GpuError when the device refused something while the call was recorded. */
  readonly checked: Promise<void>;
  /**
   * To be called after the encoder's commands are submitted (or dropped): only then may later calls reuse the workspace.
   * A call that is never released costs no more than memory, until it is collected.
   */
  release(): void;
}

/**
 * A call that was recorded into the caller's encoder.
 *
 * @typeParam Result What the launcher of a spec knows of the results beforehand.
 */
export interface EncodedCall<Result extends ForwardResult = ForwardResult> extends Recorded {
  /** [B, H, Lq, Dv], once the commands have run; the caller's to destroy. */
  readonly o: Result["o"];
  /** f32 [B, H, Lq]; null with sparsemax. */
  readonly lse: Result["lse"];
}

/** A backward pass that was recorded into the caller's encoder: the parameters' gradients are one tensor on the device, `dParameters`. */
export interface EncodedGradients
  extends Recorded,
    Omit<SomeGradients<AttentionGradients>, "parameters" | "statistics"> {}

/**
 * Makes a launcher: picks the first plan of the artifact that the device can run and compiles the kernels that are the
 * same for all calls.
 *
 * @param device The caller's own, or one from `requestDevice`.
 * @param parameters The attention's parameters, all of them.
 * @throws GpuError MTA705, MTA710 … MTA714, MTA740, MTA742; MtacError MTA611 … MTA613, MTA618.
 */
export async function createLauncher(
  device: GPUDevice,
  artifact: Artifact,
  parameters: ParameterValues,
  options: LauncherOptions = {},
): Promise<Launcher> {
  checkDevice(device);
  return readied(new Launcher(device, artifact, parameters, options));
}

/**
 * Executes one attention on one device. Made by `createLauncher`.
 *
 * Long calls are submitted in pieces, so that a slow device stays responsive. Everything is read as it is at the time of the call:
 * inputs and parameters may be changed or destroyed, and the launcher destroyed, without waiting for the result. Where a call is not
 * submitted at once (long ones, and the first of a size whose kernels are not prepared), the inputs are copied for that; their
 * buffers then need the usage COPY_SRC, as `upload` and `allocate` give it, or must be left alone until the call has ended.
 */
export class Launcher extends AttentionLauncher<DeviceTensor, WebGpu> {
  readonly #backend: GpuBackend;
  readonly #options: LauncherOptions;

  constructor(device: GPUDevice, artifact: Artifact, parameters: ParameterValues, options: LauncherOptions) {
    const backend = new WebGpuBackend(device, options.submissionBudget);
    super(device, backend, artifact, parameters, options);
    this.#backend = backend;
    this.#options = options;
  }

  /**
   * Records the attention into the caller's encoder, which must have no pass open. Call `release()` on the result once
   * the encoder's commands are submitted.
   *
   * @typeParam Result What the launcher of a spec knows of the results beforehand.
   * @throws As `forward`, and GpuError MTA742 when the encoder is none, MTA715 when a kernel variant that this call's size needs
   *   is not prepared. Errors that the device reports later reject `checked`.
   */
  encode<Result extends ForwardResult = ForwardResult>(
    encoder: GPUCommandEncoder,
    inputs: AttentionInputs<DeviceTensor>,
    options: ForwardOptions<DeviceTensor> & { readonly save: true },
  ): SavedResult<EncodedCall<Result>>;
  encode<Result extends ForwardResult = ForwardResult>(
    encoder: GPUCommandEncoder,
    inputs: AttentionInputs<DeviceTensor>,
    options?: ForwardOptions<DeviceTensor>,
  ): EncodedCall<Result>;
  encode(
    encoder: GPUCommandEncoder,
    inputs: AttentionInputs<DeviceTensor>,
    options: ForwardOptions<DeviceTensor> = {},
  ): EncodedCall & { readonly saved?: SavedCall } {
    checkEncoder(encoder);
    const call = this.prepareCall(inputs, options);
    const saved = options.save === true ? this.saveCall(inputs) : null;
    try {
      const { results, ...recorded } = this.#record(encoder, call);
      const release = this.holding(saved, recorded.release);
      return { ...this.named(results, saved), ...recorded, release };
    } catch (error) {
      saved?.release();
      throw error;
    }
  }

  /**
   * Records gradients of Σ o·dO into the caller's encoder, as `encode` does the attention; `prepare({ …, backward: true })` first. The parameters'
   * gradients stay on the device. The commands of a saved call that was recorded must run before these: they write what these read.
   *
   * @throws As `backward`; GpuError MTA742, MTA715.
   */
  encodeBackward(
    encoder: GPUCommandEncoder,
    saved: SavedCall,
    dO: DeviceTensor,
    options: AttentionBackwardOptions = {},
  ): EncodedGradients {
    checkEncoder(encoder);
    const { trainer } = this;
    const { call } = trainer.prepare(saved, dO, options, false);
    const { results, ...recorded } = this.#record(encoder, call);
    const release = this.holding(saved, recorded.release);
    return { ...trainer.byKey(results), ...recorded, release };
  }

  #record(
    encoder: GPUCommandEncoder,
    call: WebGpuCall,
  ): Recorded & Pick<CallExecution["holdings"], "results"> {
    // A missing kernel is an error before anything is allocated.
    if (call.compile !== null) call.kernels();
    const { result, checked } = inErrorScopes(this.device, contextOf(call), () => {
      const execution = new CallExecution(this.#backend, call, false);
      execution.bind();
      execution.recordInputs(encoder);
      execution.recordDispatches(encoder, 0, call.expanded.dispatches.length, null);
      return execution;
    });
    const { holdings, footprint } = result;
    return { results: holdings.results, footprint, checked, release: () => holdings.end(true) };
  }

  /**
   * A launcher with the same artifact, parameters and options on another device, for example after this one was lost.
   *
   * @throws As `createLauncher`.
   */
  rebuild(device: GPUDevice): Promise<Launcher> {
    return createLauncher(device, this.artifact, this.parameters, this.#options);
  }
}
