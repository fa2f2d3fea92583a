import { checkTensors } from "../contract/arguments.ts";
import type { CallFootprint, PrepareSize, Timing } from "../contract/call.ts";
import { constantVariants, type ExpandedPlan, expandPlan, type KernelVariant } from "../contract/expand.ts";
import { place } from "../contract/messages.ts";
import { ParameterStore, type ParameterValues } from "../contract/parameters.ts";
import type { Artifact, KernelPlan, Plan } from "../contract/plan.ts";
import {
  type PlanChoice,
  planForShape,
  shapeOfInputs,
  type TunedChoice,
  tunedChoices,
} from "../contract/plan-choice.ts";
import type { AttentionInputs, CallShape, HostTensor } from "../contract/tensor.ts";
import { checkPrepareSize } from "../contract/validate.ts";
import { type AttentionOutputs, type Call, checkOutputs, describeCall, namedBuffers } from "./call.ts";
import { checkDevice, checkEncoder } from "./device-state.ts";
import { type ErrorContext, inErrorScopes } from "./error-scopes.ts";
import { GpuError } from "./errors.ts";
import { CallExecution, type ForwardResult, type StartedCall } from "./execution.ts";
import { deviceIdentity } from "./identity.ts";
import { checkLimits, checkOutputSize } from "./limits.ts";
import { parameterMemory } from "./parameter-memory.ts";
import { type CompiledKernel, compileKernel } from "./pipelines.ts";
import { choosePlan, shortfalls } from "./plan-choice.ts";
import { submitCall } from "./submit.ts";
import { allocate, type DeviceTensor, GPU_TENSORS, type OwnedTensor, owned } from "./tensors.ts";

/** How a launcher chooses plans, submits and measures. */
export interface LauncherOptions extends PlanChoice {
  /** Multiply-adds of one submission; measured and adapted to the device if not given. */
  readonly submissionBudget?: number;
  /** Measure device time, where the device has `timestamp-query`. */
  readonly timestamps?: boolean;
}

/**
 * A call that was recorded into the caller's encoder. Results are valid once its commands have run.
 *
 * @typeParam Result What the launcher of a spec knows of the results beforehand.
 */
export interface EncodedCall<Result extends ForwardResult = ForwardResult> {
  /** [B, H, Lq, Dv], once the commands have run; the caller's to destroy. */
  readonly o: Result["o"];
  /** f32 [B, H, Lq]; null with sparsemax. */
  readonly lse: Result["lse"];
  readonly footprint: CallFootprint;
  /** Rejects with a GpuError when the device refused something while the call was recorded. */
  readonly checked: Promise<void>;
  /**
   * To be called after the encoder's commands are submitted (or dropped): only then may later calls reuse the workspace.
   * A call that is never released costs no more than memory, until it is collected.
   */
  release(): void;
}

/** What stays when a call was validated and its kernels are known. */
interface PreparedCall {
  readonly plan: Plan;
  readonly call: Call;
  readonly expanded: ExpandedPlan;
}

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
  const plan = choosePlan(artifact, device, options);
  const launcher = new Launcher(device, artifact, plan, parameters, options);
  try {
    await launcher.compile(constantVariants(plan));
  } catch (error) {
    launcher.destroy();
    throw error;
  }
  return launcher;
}

/** Executes one attention on one device. Made by `createLauncher`. */
export class Launcher {
  readonly device: GPUDevice;
  readonly artifact: Artifact;
  /** The planner's choice for this device; see `planFor`. */
  readonly plan: Plan;
  readonly #tuned: readonly TunedChoice[];
  readonly #options: LauncherOptions;
  readonly #parameters: ParameterStore<GPUBuffer>;
  readonly #ready = new Map<string, CompiledKernel>();
  #destroyed = false;

  constructor(
    device: GPUDevice,
    artifact: Artifact,
    plan: Plan,
    parameters: ParameterValues,
    options: LauncherOptions,
  ) {
    this.device = device;
    this.artifact = artifact;
    this.plan = plan;
    this.#tuned = tunedChoices(
      artifact,
      deviceIdentity(device),
      options,
      ({ requires }) => shortfalls(requires, device).length === 0,
    );
    this.#options = options;
    this.#parameters = new ParameterStore(parameterMemory(device), plan, parameters);
  }

  /** Host copies of the parameters. */
  get parameters(): ReadonlyMap<string, HostTensor> {
    return this.#parameters.values;
  }

  /** The plan that calls of a shape take: the one that was the fastest on this device near that shape, else `plan`. */
  planFor(shape: CallShape): Plan {
    return planForShape(this.#tuned, this.plan, shape);
  }

  /**
   * Computes the attention and waits for it. Long calls are submitted in pieces, so that a slow device stays responsive.
   *
   * Everything is read as it is at the time of the call: inputs and parameters may be changed or destroyed, and the launcher
   * destroyed, without waiting for the result. Where a call is not submitted at once (long ones, and the first of a size whose
   * kernels are not prepared), the inputs are copied for that; their buffers then need the usage COPY_SRC, as `upload` and
   * `allocate` give it, or must be left alone until the call has ended.
   *
   * @param inputs Tensors on the launcher's device, shapes as in `AttentionInputs`.
   * @param outputs Where to write the results; allocated if not given.
   * @typeParam Result What the launcher of a spec knows of the results beforehand.
   * @throws MtacError MTA601 … MTA608, MTA614, MTA615 (inputs); GpuError MTA705, MTA713, MTA714, MTA720 … MTA734, MTA741.
   */
  forward<Result extends ForwardResult = ForwardResult>(
    inputs: AttentionInputs<DeviceTensor>,
    outputs?: AttentionOutputs,
  ): Promise<Result>;
  async forward(inputs: AttentionInputs<DeviceTensor>, outputs?: AttentionOutputs): Promise<ForwardResult> {
    return this.#run(inputs, outputs, {
      timestamps: this.#options.timestamps ?? false,
      protectsInputs: true,
    });
  }

  /**
   * Runs the same call again and again, into the same outputs, after one run that is not counted. Inputs must be left alone
   * until it has ended.
   *
   * @throws As `forward`.
   */
  async time(
    inputs: AttentionInputs<DeviceTensor>,
    options: { readonly repeats?: number } = {},
  ): Promise<Timing> {
    const run = { timestamps: true, protectsInputs: false };
    const { o, lse, statistics } = await this.#run(inputs, undefined, run);
    try {
      const outputs: AttentionOutputs = lse === null ? { o } : { o, lse };
      const wallMs: number[] = [];
      const deviceMs: (number | null)[] = [];
      for (let repeat = 0; repeat < (options.repeats ?? 10); repeat++) {
        const { statistics: measured } = await this.#run(inputs, outputs, run);
        wallMs.push(measured.wallMs);
        deviceMs.push(measured.deviceMs);
      }
      const { wallMs: _wall, deviceMs: _device, ...footprint } = statistics;
      return { wallMs, deviceMs, footprint };
    } finally {
      o.destroy();
      lse?.destroy();
    }
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
    outputs?: AttentionOutputs,
  ): EncodedCall<Result>;
  encode(
    encoder: GPUCommandEncoder,
    inputs: AttentionInputs<DeviceTensor>,
    outputs?: AttentionOutputs,
  ): EncodedCall {
    checkEncoder(encoder);
    const prepared = this.#describe(inputs, outputs);
    const { call, expanded } = prepared;
    const compiled = this.#compiledKernels(call, expanded);
    const { result, checked } = inErrorScopes(this.device, this.#context(prepared, outputs), () => {
      const started = this.#start(prepared, outputs, false);
      started.execution.bind(compiled);
      started.execution.recordInputs(encoder);
      started.execution.recordDispatches(encoder, 0, expanded.dispatches.length, null);
      return started;
    });
    const { execution, o, lse } = result;
    return { o, lse, footprint: execution.footprint, checked, release: () => execution.release() };
  }

  /**
   * Compiles what calls of this size need, so that `encode` can follow.
   *
   * @throws MtacError MTA604 (a size is no positive integer), MTA615; GpuError MTA705, MTA713, MTA714, MTA730, MTA731,
   *   MTA741.
   */
  async prepare(asked: PrepareSize): Promise<void> {
    this.#checkUsable();
    const size = checkPrepareSize(asked);
    const plan = this.planFor(size);
    checkOutputSize(this.device.limits, plan, size);
    const expanded = expandPlan(plan, size);
    checkLimits(this.device.limits, plan, size, expanded);
    await this.compile(expanded.variants);
  }

  /**
   * Replaces some or all parameters; calls already started keep the old ones.
   *
   * @throws MtacError MTA612, MTA613, MTA618, GpuError MTA705, MTA740, MTA741.
   */
  setParameters(values: ParameterValues): void {
    this.#checkUsable();
    this.#parameters.update(values);
  }

  /**
   * A launcher with the same artifact, parameters and options on another device, for example after this one was lost.
   *
   * @throws As `createLauncher`.
   */
  rebuild(device: GPUDevice): Promise<Launcher> {
    return createLauncher(device, this.artifact, this.parameters, this.#options);
  }

  /** Frees the parameters; kernels and pooled buffers belong to the device and stay. Further calls throw MTA741. */
  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    this.#parameters.destroy();
  }

  /** Compiles kernel variants, all at once. Used by `createLauncher`; `prepare` is the public way. */
  async compile(variants: readonly KernelVariant[]): Promise<void> {
    await Promise.all(
      this.#missing(variants).map(async (variant) => {
        const { kernel } = variant;
        const source = this.artifact.sources[kernel.file];
        if (source === undefined) {
          throw new GpuError(
            "MTA712",
            `attention "${this.artifact.name}" lacks the source ${kernel.file}${place(kernel.name, kernel.source)}`,
            { remedy: "compile the spec again", kernel: kernel.name, source: kernel.source },
          );
        }
        this.#ready.set(variantKey(variant), await compileKernel(this.device, variant, source));
      }),
    );
  }

  async #run(
    inputs: AttentionInputs<DeviceTensor>,
    outputs: AttentionOutputs | undefined,
    how: { readonly timestamps: boolean; readonly protectsInputs: boolean },
  ): Promise<ForwardResult> {
    const prepared = this.#describe(inputs, outputs);
    const { call, expanded } = prepared;
    const missing = this.#missing(expanded.variants);
    return submitCall({
      ...how,
      device: this.device,
      context: this.#context(prepared, outputs),
      dispatches: expanded.dispatches,
      budget: this.#options.submissionBudget,
      compile: missing.length === 0 ? null : () => this.compile(missing),
      start: (copiesInputs) => this.#start(prepared, outputs, copiesInputs),
      bind: (execution) => execution.bind(this.#compiledKernels(call, expanded)),
    });
  }

  #missing(variants: readonly KernelVariant[]): readonly KernelVariant[] {
    return variants.filter((variant) => !this.#ready.has(variantKey(variant)));
  }

  #describe(inputs: AttentionInputs<DeviceTensor>, outputs: AttentionOutputs | undefined): PreparedCall {
    this.#checkUsable();
    checkTensors(inputs, GPU_TENSORS);
    const plan = this.planFor(shapeOfInputs(inputs));
    const call = describeCall(this.device, plan, inputs);
    if (outputs !== undefined) checkOutputs(this.device, plan, call.size, outputs);
    const expanded = expandPlan(plan, call.size);
    checkLimits(this.device.limits, plan, call.size, expanded);
    return { plan, call, expanded };
  }

  /** Allocates what the call needs; synchronous, to be run inside error scopes. */
  #start(
    { plan, call, expanded }: PreparedCall,
    outputs: AttentionOutputs | undefined,
    copiesInputs: boolean,
  ): StartedCall {
    const { device } = this;
    const { B, Lq } = call.size;
    const { heads, valueDim, storage, normalize } = plan.pipeline;
    const o = owned(outputs?.o ?? allocate(device, [B, heads, Lq, valueDim], storage, { label: "mtac o" }));
    let lse: OwnedTensor | null = null;
    if (normalize === "softmax")
      lse = owned(outputs?.lse ?? allocate(device, [B, heads, Lq], "f32", { label: "mtac lse" }));
    const made = [outputs?.o === undefined ? o : null, outputs?.lse === undefined ? lse : null];
    const execution = new CallExecution({
      device,
      plan,
      tuned: plan !== this.plan,
      call,
      expanded,
      parameters: this.#parameters,
      o,
      lse,
      made: made.filter((tensor) => tensor !== null),
      copiesInputs,
    });
    return { execution, o, lse };
  }

  #compiledKernels(call: Call, expanded: ExpandedPlan): Map<KernelPlan, CompiledKernel> {
    const compiled = new Map<KernelPlan, CompiledKernel>();
    for (const variant of expanded.variants) {
      const made = this.#ready.get(variantKey(variant));
      if (made === undefined) {
        const { kernel } = variant;
        const { B, Lq, Lk, R } = call.size;
        throw new GpuError(
          "MTA715",
          `a kernel variant is not compiled yet${place(kernel.name, kernel.source)}`,
          {
            remedy: `await launcher.prepare({ B: ${B}, Lq: ${Lq}, Lk: ${Lk}, R: ${R}, positions: ${call.size.positions} }) first`,
            kernel: kernel.name,
            source: kernel.source,
          },
        );
      }
      compiled.set(variant.kernel, made);
    }
    return compiled;
  }

  #context({ plan, call }: PreparedCall, outputs: AttentionOutputs | undefined): ErrorContext {
    const tensors = namedBuffers(call.inputs, outputs);
    return { subject: `attention "${this.artifact.name}"`, kernels: plan.kernels, tensors };
  }

  #checkUsable(): void {
    if (this.#destroyed) {
      throw new GpuError("MTA741", `the launcher of attention "${this.artifact.name}" was destroyed`, {
        remedy: "make a new one with createLauncher()",
      });
    }
    checkDevice(this.device);
  }
}

function variantKey({ kernel, constants }: KernelVariant): string {
  return `${kernel.file} ${kernel.name} ${JSON.stringify(constants)}`;
}
