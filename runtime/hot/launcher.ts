import type { PrepareSize } from "../contract/call.ts";
import type { Layout } from "../contract/layout.ts";
import type { ParameterValues } from "../contract/parameters.ts";
import type { Pipeline } from "../contract/pipeline.ts";
import type { AttentionInputs, HostTensor } from "../contract/tensor.ts";
import type { ForwardOptions } from "../launcher/backend.ts";
import { shapeOfInputs } from "../launcher/plan-choice.ts";

/** A growing cache has a new size in every call; few of them differ in the kernels that they need. */
const MAX_SIZES = 32;

interface Kernels {
  readonly artifact: { readonly name: string };
  readonly pipeline: Pipeline;
}

type Inputs = AttentionInputs<Layout>;
type Outputs = ForwardOptions<Layout>;

/** What launchers of all runtimes have in common. */
export interface SwappableLauncher {
  readonly parameters: ReadonlyMap<string, HostTensor>;
  forward(inputs: Inputs, outputs?: Outputs): Promise<unknown>;
  /** Where calls can be recorded. */
  encode?(encoder: GPUCommandEncoder, inputs: Inputs, outputs?: Outputs): unknown;
  time(inputs: Inputs, options?: { readonly repeats?: number }): Promise<unknown>;
  prepare(size: PrepareSize): Promise<void>;
  setParameters(values: ParameterValues): void;
  destroy(): void;
}

/** What a launcher that can take new kernels needs of those that make it. */
export interface HotLauncherMaker<Device, Known extends Kernels, Launcher> {
  create(kernels: Known, parameters: ParameterValues): Promise<Launcher>;
  carryOver(given: ParameterValues, pipeline: Pipeline): ParameterValues;
  rebuild(device: Device, parameters: ParameterValues): Promise<Launcher>;
}

/** A launcher whose kernels can be replaced while it is in use. */
export class HotLauncher<Device, Known extends Kernels, Launcher extends SwappableLauncher> {
  /** What users hold: always the same object, whichever kernels are behind it. */
  readonly launcher: Launcher;
  readonly #maker: HotLauncherMaker<Device, Known, Launcher>;
  /** Sizes that calls have had or were prepared for: new kernels are prepared for them, too, as `encode` expects. */
  readonly #sizes = new Map<string, PrepareSize>();
  readonly #calls = new Map<Launcher, number>();
  #current: Launcher;
  #swaps = 0;
  #destroyed = false;

  constructor(first: Launcher, maker: HotLauncherMaker<Device, Known, Launcher>) {
    this.#current = first;
    this.#maker = maker;
    this.launcher = this.#standIn(first);
  }

  get destroyed(): boolean {
    return this.#destroyed;
  }

  /**
   * Compiles new kernels, then calls use them. Calls that have begun end on the old ones, which go after the last of them. Where
   * the device refuses the new ones, the old ones stay, and the console says why.
   */
  async swap(kernels: Known): Promise<void> {
    const turn = ++this.#swaps;
    let next: Launcher | null = null;
    try {
      const given = new Map(this.#current.parameters);
      next = await this.#maker.create(kernels, this.#maker.carryOver(given, kernels.pipeline));
      await this.#prepare(next);
      // Somebody may have changed the spec again meanwhile, or have done with the launcher.
      if (turn !== this.#swaps || this.#destroyed) {
        next.destroy();
        return;
      }
      this.#takeNewerParameters(next, given);
      const old = this.#current;
      this.#current = next;
      if (!this.#calls.has(old)) old.destroy();
    } catch (error) {
      next?.destroy();
      console.error(`mtac: ${kernels.artifact.name} keeps its kernels, the new ones cannot be used:`, error);
    }
  }

  async #prepare(next: Launcher): Promise<void> {
    for (const size of this.#sizes.values()) await next.prepare(size);
  }

  /** Parameters that were set while the new kernels were compiled. */
  #takeNewerParameters(next: Launcher, before: ParameterValues): void {
    const newer = [...this.#current.parameters].filter(([name, value]) => value !== before.get(name));
    const fitting = newer.filter(
      ([name, { shape }]) => String(next.parameters.get(name)?.shape) === String(shape),
    );
    if (fitting.length > 0) next.setParameters(new Map(fitting));
  }

  /** Gives on whatever is asked of it to the launcher of the day. */
  #standIn(first: Launcher): Launcher {
    const own = {
      forward: (inputs: Inputs, outputs?: Outputs) =>
        this.#call(
          (current) => current.forward(inputs, outputs),
          () => sizeOf(inputs),
        ),
      time: (inputs: Inputs, options?: { readonly repeats?: number }) =>
        this.#call(
          (current) => current.time(inputs, options),
          () => sizeOf(inputs),
        ),
      prepare: (size: PrepareSize) =>
        this.#call(
          (current) => current.prepare(size),
          () => size,
        ),
      encode: (encoder: GPUCommandEncoder, inputs: Inputs, outputs?: Outputs) => {
        const encoded = this.#current.encode?.(encoder, inputs, outputs);
        // Not before: new kernels need not suit a size that the old ones refused.
        this.#remember(sizeOf(inputs));
        return encoded;
      },
      rebuild: (device: Device) => this.#maker.rebuild(device, this.#current.parameters),
      destroy: () => this.#destroy(),
    };
    return new Proxy(first, {
      get: (_first, key) => {
        if (Object.hasOwn(own, key)) return Reflect.get(own, key);
        const current = this.#current;
        const value: unknown = Reflect.get(current, key, current);
        return typeof value === "function" ? value.bind(current) : value;
      },
    });
  }

  /** @param size Asked for only when the call has ended well, so that what it refuses need not be understood. */
  async #call<T>(run: (current: Launcher) => Promise<T>, size: () => PrepareSize): Promise<T> {
    const current = this.#current;
    this.#calls.set(current, (this.#calls.get(current) ?? 0) + 1);
    try {
      const result = await run(current);
      this.#remember(size());
      return result;
    } finally {
      const others = (this.#calls.get(current) ?? 1) - 1;
      if (others > 0) this.#calls.set(current, others);
      else {
        this.#calls.delete(current);
        if (current !== this.#current) current.destroy();
      }
    }
  }

  #remember(size: PrepareSize): void {
    this.#sizes.set(JSON.stringify(size), size);
    const [oldest] = this.#sizes.keys();
    if (this.#sizes.size > MAX_SIZES && oldest !== undefined) this.#sizes.delete(oldest);
  }

  #destroy(): void {
    this.#destroyed = true;
    this.#current.destroy();
  }
}

function sizeOf(inputs: Inputs): PrepareSize {
  return { ...shapeOfInputs(inputs), positions: inputs.positions !== undefined };
}
