import type { PrepareSize, Timing } from "../contract/call.ts";
import type { ParameterValues } from "../contract/parameters.ts";
import type { Artifact, Plan } from "../contract/plan.ts";
import type { AttentionInputs, CallShape, HostTensor } from "../contract/tensor.ts";
import type { ForwardOptions } from "../launcher/backend.ts";
import type { SavedResult, SomeGradients } from "../launcher/gradients.ts";
import type { SavedCall } from "../launcher/saved.ts";
import { type AutoDevice, checkAutoDevice } from "./device.ts";
import type {
  AutoArtifact,
  AutoBackwardOptions,
  AutoForwardResult,
  AutoGradients,
  AutoLauncherOptions,
  AutoTensor,
  RuntimeLauncher,
} from "./types.ts";

/**
 * Loads the kernels that the device needs, and makes a launcher of its own runtime for them.
 *
 * @param device From `openDevice`.
 * @param parameters The attention's parameters, all of them.
 * @throws MtacError MTA611 … MTA613, MTA618, MTA619; else as `createLauncher` or `createCpuLauncher`.
 */
export async function createAutoLauncher(
  device: AutoDevice,
  artifact: AutoArtifact,
  parameters: ParameterValues,
  options: AutoLauncherOptions = {},
): Promise<AutoLauncher> {
  checkAutoDevice(device);
  const { artifact: kernels } = await artifact[device.kind]();
  const own = await device.runtime.launch(kernels, parameters, options);
  return new AutoLauncher(device, own, (on) => createAutoLauncher(on, artifact, own.parameters, options));
}

/** Executes one attention on whatever device there is. Made by `createAutoLauncher`. */
export class AutoLauncher {
  readonly device: AutoDevice;
  readonly #own: RuntimeLauncher;
  readonly #rebuild: (device: AutoDevice) => Promise<AutoLauncher>;

  constructor(
    device: AutoDevice,
    own: RuntimeLauncher,
    rebuild: (device: AutoDevice) => Promise<AutoLauncher>,
  ) {
    this.device = device;
    this.#own = own;
    this.#rebuild = rebuild;
  }

  /** The kernels that were loaded. */
  get artifact(): Artifact {
    return this.#own.artifact;
  }

  /** The planner's choice for this device; see `planFor`. */
  get plan(): Plan {
    return this.#own.plan;
  }

  /** Host copies of the parameters. */
  get parameters(): ReadonlyMap<string, HostTensor> {
    return this.#own.parameters;
  }

  /** The plan that calls of a shape take. */
  planFor(shape: CallShape): Plan {
    return this.#own.planFor(shape);
  }

  /**
   * Computes the attention and waits for it.
   *
   * @param inputs Tensors on the launcher's device, shapes as in `AttentionInputs`.
   * @param options Where to write the results, which are allocated if not given; `save: true` where `backward` is to follow. Inputs
   *   must be left alone then until the last backward pass has ended.
   * @typeParam Result What the launcher of a spec knows of the results beforehand.
   * @throws As `forward` of the device's own runtime.
   */
  forward<Result extends AutoForwardResult = AutoForwardResult>(
    inputs: AttentionInputs<AutoTensor>,
    options: ForwardOptions<AutoTensor> & { readonly save: true },
  ): Promise<SavedResult<Result>>;
  forward<Result extends AutoForwardResult = AutoForwardResult>(
    inputs: AttentionInputs<AutoTensor>,
    options?: ForwardOptions<AutoTensor>,
  ): Promise<Result>;
  forward(
    inputs: AttentionInputs<AutoTensor>,
    options?: ForwardOptions<AutoTensor>,
  ): Promise<AutoForwardResult> {
    return this.#own.forward(inputs, options);
  }

  /**
   * Computes gradients of Σ o·dO of a call, and waits for them.
   *
   * @param saved From `forward(inputs, { save: true })` of this launcher.
   * @param dO The gradient of o: [B, H, Lq, Dv] in the pipeline's storage type; any strides, 0 too, the last one 1.
   * @param options Which gradients are given, and where they go: all, allocated, if not said.
   * @typeParam Result What the launcher of a spec knows of the gradients beforehand.
   * @throws As `backward` of the device's own runtime.
   */
  backward<Result extends AutoGradients = AutoGradients>(
    saved: SavedCall,
    dO: AutoTensor,
    options?: AutoBackwardOptions & { readonly wanted?: undefined },
  ): Promise<Result>;
  backward<Result extends AutoGradients = AutoGradients>(
    saved: SavedCall,
    dO: AutoTensor,
    options: AutoBackwardOptions,
  ): Promise<SomeGradients<Result>>;
  backward(
    saved: SavedCall,
    dO: AutoTensor,
    options: AutoBackwardOptions = {},
  ): Promise<SomeGradients<AutoGradients>> {
    return this.#own.backward(saved, dO, options);
  }

  /** Runs the same call again and again, after one run that is not counted. @throws As `forward`. */
  time(inputs: AttentionInputs<AutoTensor>, options: { readonly repeats?: number } = {}): Promise<Timing> {
    return this.#own.time(inputs, options);
  }

  /** Compiles what calls of this size need and checks that they fit the device. */
  prepare(size: PrepareSize): Promise<void> {
    return this.#own.prepare(size);
  }

  /** Replaces some or all parameters; calls already started keep the old ones. @throws MtacError MTA612, MTA613, MTA618 */
  setParameters(parameters: ParameterValues): void {
    this.#own.setParameters(parameters);
  }

  /** A launcher with the same kernels, parameters and options on another device, of this kind or the other. @throws As `createAutoLauncher`. */
  rebuild(device: AutoDevice): Promise<AutoLauncher> {
    return this.#rebuild(device);
  }

  /** Frees the parameters; the device and tensors stay. */
  destroy(): void {
    this.#own.destroy();
  }
}
