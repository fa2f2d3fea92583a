import { checkObject } from "../contract/arguments.ts";
import type { PrepareSize, Timing } from "../contract/call.ts";
import { constantVariants, expandPlan, type KernelVariant } from "../contract/expand.ts";
import type { Layout } from "../contract/layout.ts";
import { place } from "../contract/messages.ts";
import { ParameterStore, type ParameterValues, type ParameterVersion } from "../contract/parameters.ts";
import type { Artifact, KernelPlan, Plan } from "../contract/plan.ts";
import { LSE, O, VALUES } from "../contract/resources.ts";
import type { AttentionInputs, CallShape, HostTensor } from "../contract/tensor.ts";
import { checkPrepareSize } from "../contract/validate.ts";
import type {
  Backend,
  BackendTypes,
  CallOutcome,
  CallResult,
  CheckedCall,
  ForwardOptions,
  PreparedCall,
  RunOptions,
} from "./backend.ts";
import { type AskedCall, checkCall } from "./call.ts";
import type { BackwardOptions, Gradients, SavedResult, SomeGradients } from "./gradients.ts";
import {
  choosePlan,
  type PlanChoice,
  planForShape,
  shapeOfInputs,
  type TunedChoice,
  tunedChoices,
  whatLacks,
} from "./plan-choice.ts";
import { SavedCall, SavedState } from "./saved.ts";
import { Trainer } from "./training.ts";

/** How a launcher chooses plans and measures, on any target. */
export interface CommonOptions extends PlanChoice {
  /** Measure device time, where the device can tell it. */
  readonly timestamps?: boolean;
}

/** Compiles what is the same for all calls; a launcher that cannot is destroyed. */
export async function readied<L extends { compile(): Promise<void>; destroy(): void }>(
  launcher: L,
): Promise<L> {
  try {
    await launcher.compile();
  } catch (error) {
    launcher.destroy();
    throw error;
  }
  return launcher;
}

/** Executes one attention on one device of any target. */
export class AttentionLauncher<Tensor extends Layout, Types extends BackendTypes<Tensor>> {
  readonly device: Types["device"];
  readonly artifact: Artifact;
  /** The planner's choice for this device; see `planFor`. */
  readonly plan: Plan;
  readonly #backend: Backend<Tensor, Types>;
  readonly #timestamps: boolean;
  readonly #choice: PlanChoice;
  #dropoutPlan: Plan | null = null;
  readonly #tuned: readonly TunedChoice[];
  readonly #parameters: ParameterStore<Types["memory"]>;
  readonly #saved = new WeakMap<SavedCall, SavedState<Tensor, Types>>();
  /** Made when gradients are first asked for. */
  #trainer: Trainer<Tensor, Types> | null = null;
  /** By kernel, then by the values of its constants. */
  readonly #kernels = new Map<KernelPlan, Map<string, Types["kernel"]>>();
  #destroyed = false;

  protected constructor(
    device: Types["device"],
    backend: Backend<Tensor, Types>,
    artifact: Artifact,
    parameters: ParameterValues,
    options: CommonOptions,
  ) {
    this.device = device;
    this.artifact = artifact;
    this.plan = choosePlan(backend, artifact, options);
    this.#backend = backend;
    this.#timestamps = options.timestamps ?? false;
    this.#choice = options;
    this.#tuned = tunedChoices(
      artifact,
      backend.identity,
      options,
      (plan) => whatLacks(backend, plan).length === 0,
    );
    this.#parameters = new ParameterStore(backend, this.plan, parameters);
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
   * Computes the attention and waits for it.
   *
   * @param inputs Tensors on the launcher's device, shapes as in `AttentionInputs`.
   * @param options Where to write the results, which are allocated if not given; `save: true` where `backward` is to follow. Inputs
   *   must be left alone then until the last backward pass has ended.
   * @typeParam Result What the launcher of a spec knows of the results beforehand.
   * @throws MtacError MTA601 … MTA608, MTA614, MTA615 (inputs), MTA620 (no backward pass); GpuError MTA705, MTA713, MTA714, MTA720 … MTA734, MTA741;
   *   CudaError MTA805, MTA806, MTA820 … MTA834, MTA841; on an emulated device also EmulatorError MTA850 … MTA862.
   */
  forward<Result extends CallResult<Tensor, Types> = CallResult<Tensor, Types>>(
    inputs: AttentionInputs<Tensor>,
    options: ForwardOptions<Tensor> & { readonly save: true },
  ): Promise<SavedResult<Result>>;
  forward<Result extends CallResult<Tensor, Types> = CallResult<Tensor, Types>>(
    inputs: AttentionInputs<Tensor>,
    options?: ForwardOptions<Tensor>,
  ): Promise<Result>;
  async forward(
    inputs: AttentionInputs<Tensor>,
    options: ForwardOptions<Tensor> = {},
  ): Promise<CallResult<Tensor, Types> & { readonly saved?: SavedCall }> {
    const how = { timestamps: this.#timestamps, protectsInputs: true };
    const call = this.prepareCall(inputs, options);
    const saved = options.save === true ? this.saveCall(inputs) : null;
    try {
      const { results, statistics } = await this.#backend.run(call, how);
      return { ...this.named(results, saved), statistics };
    } catch (error) {
      saved?.release();
      throw error;
    }
  }

  /**
   * Computes gradients of Σ o·dO of a call, and waits for them. Masked entries pass nothing. The same bits whenever the same call is made.
   *
   * @param saved From `forward(inputs, { save: true })` of this launcher. The inputs are read again; the parameters are those of that call,
   *   whatever has become of them since.
   * @param dO The gradient of o: [B, H, Lq, Dv] in the pipeline's storage type; any strides, 0 too, the last one 1.
   * @param options Which gradients are given, and where they go: all, allocated, if not said.
   * @typeParam Result What the launcher of a spec knows of the gradients beforehand.
   * @throws MtacError MTA603 (shape of dO), MTA614, MTA621 … MTA624; else as `forward`.
   */
  backward<Result extends Gradients<Tensor, Types> = Gradients<Tensor, Types>>(
    saved: SavedCall,
    dO: Tensor,
    options?: BackwardOptions<Tensor> & { readonly wanted?: undefined },
  ): Promise<Result>;
  backward<Result extends Gradients<Tensor, Types> = Gradients<Tensor, Types>>(
    saved: SavedCall,
    dO: Tensor,
    options: BackwardOptions<Tensor>,
  ): Promise<SomeGradients<Result>>;
  async backward(
    saved: SavedCall,
    dO: Tensor,
    options: BackwardOptions<Tensor> = {},
  ): Promise<SomeGradients<Gradients<Tensor, Types>>> {
    const { trainer } = this;
    const { call, wanted, state } = trainer.prepare(saved, dO, options, true);
    // The saved call may be released while this one runs.
    state.hold();
    try {
      const how = { timestamps: this.#timestamps, protectsInputs: true };
      return await trainer.finish(await this.#backend.run(call, how), wanted);
    } finally {
      state.release();
    }
  }

  /**
   * Runs the same call again and again, into the same outputs, after one run that is not counted. Inputs must be left alone until it
   * has ended.
   *
   * @throws As `forward`.
   */
  async time(inputs: AttentionInputs<Tensor>, options: { readonly repeats?: number } = {}): Promise<Timing> {
    const how = { timestamps: true, protectsInputs: false };
    const { o, lse, statistics } = await this.#run(this.prepareCall(inputs, {}), how);
    try {
      const outputs = lse === null ? { o } : { o, lse };
      const wallMs: number[] = [];
      const deviceMs: (number | null)[] = [];
      for (let run = 0; run < (options.repeats ?? 10); run++) {
        const { statistics: measured } = await this.#run(this.prepareCall(inputs, outputs), how);
        wallMs.push(measured.wallMs);
        deviceMs.push(measured.deviceMs);
      }
      const { schedule, tuned, kernels, peakBytes, compulsoryBytes, workspaceBytes } = statistics;
      const footprint = { schedule, tuned, kernels, peakBytes, compulsoryBytes, workspaceBytes };
      return { wallMs, deviceMs, footprint };
    } finally {
      o.destroy();
      lse?.destroy();
    }
  }

  /**
   * Compiles what calls of this size need and checks that they fit the device.
   *
   * @throws MtacError MTA604 (a size is no positive integer), MTA615; GpuError MTA705, MTA713, MTA714, MTA730, MTA731, MTA741;
   *   CudaError MTA806, MTA812 … MTA817, MTA830 … MTA832, MTA841.
   */
  async prepare(asked: PrepareSize): Promise<void> {
    this.#checkUsable();
    const size = checkPrepareSize(asked);
    const { sizes } = this.#backend;
    const drops = asked.dropout === true && this.artifact.dropout !== undefined;
    const plans = [drops ? this.dropoutPlan : this.planFor(size)];
    if (asked.backward === true) plans.push(drops ? this.trainer.dropoutPlan : this.trainer.planFor(size));
    for (const plan of plans) {
      sizes?.checkOutput(plan, size);
      const expanded = expandPlan(plan, size);
      sizes?.checkCall(plan, size, expanded);
      await this.compile(expanded.variants);
    }
  }

  /**
   * Replaces some or all parameters; calls already started keep the old ones.
   *
   * @throws MtacError MTA612, MTA613, MTA618; GpuError MTA705, MTA740, MTA741; CudaError MTA806, MTA832, MTA840, MTA841.
   */
  setParameters(values: ParameterValues): void {
    this.#checkUsable();
    this.#parameters.update(values);
  }

  /** Frees the parameters; kernels and pooled memory belong to the device and stay. Further calls throw MTA741 or MTA841. */
  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    this.#parameters.destroy();
  }

  /** Compiles kernels, all at once: those that are the same for all calls, if none are given. `prepare` is the public way. */
  async compile(variants: readonly KernelVariant[] = constantVariants(this.plan)): Promise<void> {
    await Promise.all(
      variants.map(async (variant) => {
        if (this.#find(variant) === undefined)
          this.#keep(variant, await this.#backend.load(variant, this.artifact));
      }),
    );
  }

  /** Checks a call and applies its plan to its size. */
  protected prepareCall(
    inputs: AttentionInputs<Tensor>,
    options: ForwardOptions<Tensor>,
  ): PreparedCall<Tensor, Types> {
    this.#checkUsable();
    checkObject("outputs", options, "pass an object { o }, or leave it out");
    const { o, lse } = options;
    const wants = (key: string): boolean => key !== VALUES.key || options.save === true;
    const asked: AskedCall<Tensor> = { inputs, outputs: { o, lse }, wants };
    return this.#prepare(asked, null, (given) =>
      given.dropoutSeed === undefined || this.artifact.dropout === undefined
        ? this.planFor(shapeOfInputs(given))
        : this.dropoutPlan,
    );
  }

  /** Keeps what `backward` needs of a call that is checked: its inputs, and the parameters of this moment. @throws MtacError MTA620 */
  protected saveCall(inputs: AttentionInputs<Tensor>): SavedCall {
    // What cannot follow is refused before anything is computed.
    void this.trainer;
    const state = new SavedState<Tensor, Types>(inputs, this.#parameters);
    const saved = new SavedCall(() => state.release());
    this.#saved.set(saved, state);
    return saved;
  }

  /** What callers get of a call; what is kept for gradients the launcher keeps. */
  protected named(
    results: CallOutcome<Tensor, Types>["results"],
    saved: SavedCall | null = null,
  ): Named<Types> {
    const named = { o: resultOf(results, O.name), lse: results.get(LSE.name) ?? null };
    const state = saved && this.#saved.get(saved);
    if (!state) return named;
    state.values = results.get(VALUES.name);
    return { ...named, saved };
  }

  /** `end` of a recorded call, whose commands use what a saved call keeps: that stays until then, too. */
  protected holding(saved: SavedCall | null, end: () => void): () => void {
    const state = saved && this.#saved.get(saved);
    if (!state) return end;
    state.hold();
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      end();
      state.release();
    };
  }

  /** The plan for calls that drop weights. @throws the target's error where none fits the device, or the schedule that was asked for. */
  protected get dropoutPlan(): Plan {
    const { schedule, plan } = this.#choice;
    // A plan that the caller has chosen is taken as it is: the call's check says where it drops nothing.
    if (plan !== undefined) return this.plan;
    this.#dropoutPlan ??= choosePlan(
      this.#backend,
      { ...this.artifact, plans: this.artifact.dropout?.plans ?? [] },
      schedule === undefined ? {} : { schedule },
    );
    return this.#dropoutPlan;
  }

  /** What computes gradients. @throws MtacError MTA620 */
  protected get trainer(): Trainer<Tensor, Types> {
    this.#checkUsable();
    this.#trainer ??= new Trainer<Tensor, Types>({
      backend: this.#backend,
      artifact: this.artifact,
      saved: this.#saved,
      prepare: (asked, version, plan) => this.#prepare(asked, version, () => plan),
    });
    return this.#trainer;
  }

  #prepare(
    asked: AskedCall<Tensor>,
    version: ParameterVersion<Types["memory"]> | null,
    planFor: (inputs: AttentionInputs<Tensor>) => Plan,
  ): PreparedCall<Tensor, Types> {
    const checked = checkCall(this.#backend, asked, planFor);
    const { variants } = checked.expanded;
    const isReady = variants.every((variant) => this.#find(variant) !== undefined);
    const call: PreparedCall<Tensor, Types> = {
      ...checked,
      subject: `attention "${this.artifact.name}"`,
      tuned: this.#isTuned(checked.plan, asked.dO !== undefined),
      parameters: this.#parameters,
      version,
      compile: isReady ? null : () => this.compile(variants),
      kernels: () => new Map(variants.map((variant) => [variant.kernel, this.#compiled(variant, checked)])),
    };
    this.#backend.checkApart(call);
    return call;
  }

  /** Whether a plan is none of those that are chosen without measurements. */
  #isTuned(plan: Plan, backward: boolean): boolean {
    return backward
      ? plan !== this.trainer.plan && plan !== this.trainer.dropoutPlan
      : plan !== this.plan && plan !== this.#dropoutPlan;
  }

  async #run(call: PreparedCall<Tensor, Types>, options: RunOptions): Promise<CallResult<Tensor, Types>> {
    const { results, statistics } = await this.#backend.run(call, options);
    return { ...this.named(results), statistics };
  }

  #find({ kernel, constants }: KernelVariant): Types["kernel"] | undefined {
    return this.#kernels.get(kernel)?.get(keyOf(constants));
  }

  #keep({ kernel, constants }: KernelVariant, made: Types["kernel"]): void {
    const known = this.#kernels.get(kernel) ?? new Map<string, Types["kernel"]>();
    this.#kernels.set(kernel, known.set(keyOf(constants), made));
  }

  #compiled(variant: KernelVariant, { size }: CheckedCall<Tensor>): Types["kernel"] {
    const made = this.#find(variant);
    if (made !== undefined) return made;
    const { kernel } = variant;
    const { B, Lq, Lk, R, positions } = size;
    const where = place(kernel.name, kernel.source);
    throw this.#backend.error("unprepared", `a kernel variant is not compiled yet${where}`, {
      remedy: `await launcher.prepare({ B: ${B}, Lq: ${Lq}, Lk: ${Lk}, R: ${R}, positions: ${positions} }) first`,
      kernel,
    });
  }

  #checkUsable(): void {
    if (this.#destroyed)
      throw this.#backend.error(
        "destroyed",
        `the launcher of attention "${this.artifact.name}" was destroyed`,
      );
    this.#backend.checkUsable();
  }
}

/** Results as callers know them. */
type Named<Types extends { readonly owned: unknown }> = {
  readonly o: Types["owned"];
  readonly lse: Types["owned"] | null;
  readonly saved?: SavedCall;
};

/** @throws RangeError when a back end did not give it: a defect. */
export function resultOf<Result>(results: ReadonlyMap<string, Result>, name: string): Result {
  const result = results.get(name);
  if (result === undefined) throw new RangeError(`the call gave no ${name}`);
  return result;
}

/** Constants of one kernel, which always has them in the same order. */
function keyOf(constants: KernelVariant["constants"]): string {
  return Object.values(constants).join();
}
