import { checkTensors } from "../contract/arguments.ts";
import type { PrepareSize, Timing } from "../contract/call.ts";
import { expandPlan } from "../contract/expand.ts";
import { place } from "../contract/messages.ts";
import { ParameterStore, type ParameterValues } from "../contract/parameters.ts";
import type { Artifact, Plan } from "../contract/plan.ts";
import {
  type PlanChoice,
  planForShape,
  shapeOfInputs,
  type TunedChoice,
  tunedChoices,
} from "../contract/plan-choice.ts";
import type { AttentionInputs, CallShape, HostTensor } from "../contract/tensor.ts";
import { checkPrepareSize } from "../contract/validate.ts";
import type { CudaAllocation, CudaKernel } from "./backend.ts";
import { type CudaOutputs, checkOutputs, describeCall } from "./checks.ts";
import { type CudaDevice, checkCudaDevice } from "./device.ts";
import { CudaError } from "./errors.ts";
import { type CudaForwardResult, executeCall } from "./execution.ts";
import { deviceIdentity } from "./identity.ts";
import { checkLimits, checkOutputSize } from "./limits.ts";
import { parameterMemory } from "./parameter-memory.ts";
import { choosePlan, shortfalls } from "./plan-choice.ts";
import {
  allocateUninitialised,
  CUDA_TENSORS,
  type CudaTensor,
  type OwnedCudaTensor,
  owned,
  release,
} from "./tensors.ts";

/** How a launcher chooses plans and measures. */
export interface CudaLauncherOptions extends PlanChoice {
  /** Measure device time, where the device has a clock. */
  readonly timestamps?: boolean;
  /** Wait after each launch, so that an error names the kernel that failed: for diagnosis. */
  readonly synchronous?: boolean;
}

/**
 * Makes a launcher: picks the first plan of the artifact that the device can run and compiles its kernels, or finds them in
 * the cache.
 *
 * @param device From `openCuda` or `openEmulatedCuda`.
 * @param parameters The attention's parameters, all of them.
 * @throws CudaError MTA805, MTA806, MTA810 … MTA817, MTA831, MTA840, MTA842; MtacError MTA611 … MTA613, MTA618.
 */
export async function createCudaLauncher(
  device: CudaDevice,
  artifact: Artifact,
  parameters: ParameterValues,
  options: CudaLauncherOptions = {},
): Promise<CudaLauncher> {
  checkCudaDevice(device);
  const plan = choosePlan(artifact, device.properties, options);
  const launcher = new CudaLauncher(device, artifact, plan, parameters, options);
  try {
    await launcher.compile();
  } catch (error) {
    launcher.destroy();
    throw error;
  }
  return launcher;
}

/** Executes one attention on one device. Made by `createCudaLauncher`. */
export class CudaLauncher {
  readonly device: CudaDevice;
  readonly artifact: Artifact;
  /** The planner's choice for this device; see `planFor`. */
  readonly plan: Plan;
  readonly #tuned: readonly TunedChoice[];
  readonly #options: CudaLauncherOptions;
  readonly #parameters: ParameterStore<CudaAllocation>;
  /** By plan, then by the kernel's name. */
  readonly #kernels = new Map<Plan, Map<string, CudaKernel>>();
  #destroyed = false;

  constructor(
    device: CudaDevice,
    artifact: Artifact,
    plan: Plan,
    parameters: ParameterValues,
    options: CudaLauncherOptions,
  ) {
    this.device = device;
    this.artifact = artifact;
    this.plan = plan;
    const { properties } = device;
    this.#tuned = tunedChoices(
      artifact,
      deviceIdentity(properties),
      options,
      ({ requires }) => shortfalls(requires, properties).length === 0,
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
   * Computes the attention and waits for it.
   *
   * @param inputs Tensors on the launcher's device, shapes as in `AttentionInputs`.
   * @param outputs Where to write the results; allocated if not given.
   * @typeParam Result What the launcher of a spec knows of the results beforehand.
   * @throws MtacError MTA601 … MTA608, MTA614, MTA615 (inputs); CudaError MTA805, MTA806, MTA820 … MTA834, MTA841; on an emulated device also
   *   EmulatorError MTA850 … MTA862.
   */
  forward<Result extends CudaForwardResult = CudaForwardResult>(
    inputs: AttentionInputs<CudaTensor>,
    outputs?: CudaOutputs,
  ): Promise<Result>;
  async forward(inputs: AttentionInputs<CudaTensor>, outputs?: CudaOutputs): Promise<CudaForwardResult> {
    return this.#run(inputs, outputs, this.#options.timestamps ?? false);
  }

  /**
   * Runs the same call again and again, into the same outputs, after one run that is not counted.
   *
   * @throws As `forward`.
   */
  async time(
    inputs: AttentionInputs<CudaTensor>,
    options: { readonly repeats?: number } = {},
  ): Promise<Timing> {
    const { o, lse, statistics } = await this.#run(inputs, undefined, true);
    try {
      const outputs: CudaOutputs = lse === null ? { o } : { o, lse };
      const wallMs: number[] = [];
      const deviceMs: (number | null)[] = [];
      for (let run = 0; run < (options.repeats ?? 10); run++) {
        const { statistics: measured } = await this.#run(inputs, outputs, true);
        wallMs.push(measured.wallMs);
        deviceMs.push(measured.deviceMs);
      }
      const { schedule, tuned, kernels, peakBytes, compulsoryBytes, workspaceBytes } = statistics;
      const footprint = { schedule, tuned, kernels, peakBytes, compulsoryBytes, workspaceBytes };
      return { wallMs, deviceMs, footprint };
    } finally {
      release(this.device, o);
      if (lse !== null) release(this.device, lse);
    }
  }

  /**
   * Compiles what calls of this size need and checks that they fit the device.
   *
   * @throws MtacError MTA604 (a size is no positive integer), MTA615; CudaError MTA806, MTA812 … MTA817, MTA830 … MTA832, MTA841.
   */
  async prepare(asked: PrepareSize): Promise<void> {
    this.#checkUsable();
    const size = checkPrepareSize(asked);
    const plan = this.planFor(size);
    checkOutputSize(this.device.properties, plan, size);
    checkLimits(this.device.properties, plan, size, expandPlan(plan, size));
    await this.compile(plan);
  }

  /**
   * Replaces some or all parameters; calls already started keep the old ones.
   *
   * @throws MtacError MTA612, MTA613, MTA618, CudaError MTA806, MTA832, MTA840, MTA841.
   */
  setParameters(values: ParameterValues): void {
    this.#checkUsable();
    this.#parameters.update(values);
  }

  /**
   * A launcher with the same artifact, parameters and options on another device.
   *
   * @throws As `createCudaLauncher`.
   */
  rebuild(device: CudaDevice): Promise<CudaLauncher> {
    return createCudaLauncher(device, this.artifact, this.parameters, this.#options);
  }

  /** Frees the parameters; modules and pooled workspace belong to the device and stay. Further calls throw MTA841. */
  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    this.#parameters.destroy();
  }

  /** Loads all kernels of a plan. Used by `createCudaLauncher`; `prepare` is the public way. */
  async compile(plan: Plan = this.plan): Promise<void> {
    const { artifact, device } = this;
    const loaded = this.#kernels.get(plan) ?? new Map<string, CudaKernel>();
    this.#kernels.set(plan, loaded);
    await Promise.all(
      plan.kernels.map(async (kernel) => {
        if (loaded.has(kernel.name)) return;
        const module = await device.load({
          file: kernel.file,
          text: artifact.sources[kernel.file],
          images: (artifact.images ?? []).filter(({ file }) => file === kernel.file),
          subject: `attention "${artifact.name}"`,
        });
        try {
          loaded.set(kernel.name, module.kernel(kernel.entryPoint));
        } catch (error) {
          if (!(error instanceof CudaError)) throw error;
          throw error.at(place(kernel.name, kernel.source), kernel.name, kernel.source);
        }
      }),
    );
  }

  async #run(
    inputs: AttentionInputs<CudaTensor>,
    outputs: CudaOutputs | undefined,
    timestamps: boolean,
  ): Promise<CudaForwardResult> {
    this.#checkUsable();
    checkTensors(inputs, CUDA_TENSORS);
    const { device } = this;
    const plan = this.planFor(shapeOfInputs(inputs));
    const call = describeCall(device.backend, plan, inputs);
    if (outputs !== undefined) checkOutputs(device.backend, plan, call, outputs);
    const expanded = expandPlan(plan, call.size);
    checkLimits(device.properties, plan, call.size, expanded);
    if (!this.#isLoaded(plan)) {
      await this.compile(plan);
      // Compilation takes time, in which much can happen.
      this.#checkUsable();
    }
    const made: OwnedCudaTensor[] = [];
    const make = (
      shape: readonly number[],
      storage: CudaTensor["storage"],
      label: string,
    ): OwnedCudaTensor => {
      const tensor = allocateUninitialised(device, shape, storage, { label });
      made.push(tensor);
      return tensor;
    };
    try {
      const { B, Lq } = call.size;
      const { heads, valueDim, storage, normalize } = plan.pipeline;
      const o = owned(outputs?.o ?? make([B, heads, Lq, valueDim], storage, "mtac o"));
      const lse =
        normalize === "softmax" ? owned(outputs?.lse ?? make([B, heads, Lq], "f32", "mtac lse")) : null;
      const statistics = await executeCall({
        device,
        plan,
        tuned: plan !== this.plan,
        call,
        expanded,
        kernels: this.#kernels.get(plan) ?? new Map(),
        parameters: this.#parameters,
        o,
        lse,
        timestamps,
        synchronous: this.#options.synchronous ?? false,
      });
      return { o, lse, statistics };
    } catch (error) {
      for (const tensor of made) tensor.destroy();
      throw error;
    }
  }

  #isLoaded(plan: Plan): boolean {
    const loaded = this.#kernels.get(plan);
    return loaded !== undefined && plan.kernels.every(({ name }) => loaded.has(name));
  }

  #checkUsable(): void {
    if (this.#destroyed)
      throw new CudaError("MTA841", `the launcher of attention "${this.artifact.name}" was destroyed`);
    this.device.checkUsable();
  }
}
