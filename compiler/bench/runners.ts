import type { CallFootprint } from "../../runtime/contract/call.ts";
import type { Float64Tensor, Pipeline, Plan } from "../../runtime/contract/index.ts";
import type { Meter, MeteredPlan, PlacedCall, Sample } from "../execution/meter.ts";
import type { AttentionCall } from "../execution/request.ts";
import { type OpenProduct, openProduct, type ProductChoice } from "./matmul.ts";
import type { Peer } from "./peers/index.ts";

const NANOSECONDS = 1e6;

/** Something that takes its turns in a benchmark. */
export interface Runner {
  /** Whether each sample is preceded by a run that is not counted: then there is nothing to warm up. */
  readonly warmsItself: boolean;
  /** Runs once. */
  sample(): Promise<Sample>;
  /** What it computes, by the tensors' names; runs it. */
  results(): Promise<ReadonlyMap<string, Float64Tensor>>;
  footprint(): CallFootprint | null;
  close(): Promise<void>;
}

/** One call's tensors on a device that may be lost and opened again: whatever lay on the old one is made anew when it is needed. */
export class Stage {
  readonly meter: Meter;
  readonly pipeline: Pipeline;
  readonly call: AttentionCall;
  #placed: PlacedCall | null = null;
  #generation = 0;

  constructor(meter: Meter, pipeline: Pipeline, call: AttentionCall) {
    this.meter = meter;
    this.pipeline = pipeline;
    this.call = call;
  }

  /** Counts the devices: what belongs to an earlier one is gone. */
  get generation(): number {
    return this.#generation;
  }

  placed(): PlacedCall {
    this.#placed ??= this.meter.place(this.pipeline, this.call);
    return this.#placed;
  }

  async restart(): Promise<void> {
    this.#placed = null;
    this.#generation += 1;
    await this.meter.restart();
  }

  release(): void {
    this.#placed?.release();
    this.#placed = null;
  }
}

/** What lies on a stage's device: opened when it is needed, once a device. */
class Held<T extends { release(): void }> {
  readonly #stage: Stage;
  readonly #open: () => Promise<T>;
  #held: { readonly value: T; readonly generation: number } | null = null;

  constructor(stage: Stage, open: () => Promise<T>) {
    this.#stage = stage;
    this.#open = open;
  }

  /** null where it is not open, or lay on a device that is gone. */
  get current(): T | null {
    return this.#held?.generation === this.#stage.generation ? this.#held.value : null;
  }

  async get(): Promise<T> {
    const { generation } = this.#stage;
    const value = this.current ?? (await this.#open());
    this.#held = { value, generation };
    return value;
  }

  release(): void {
    this.current?.release();
    this.#held = null;
  }
}

export function planRunner(stage: Stage, plan: Plan): Runner {
  const held = new Held<MeteredPlan>(stage, () => stage.meter.open(plan, stage.call));
  return {
    warmsItself: false,
    sample: async () => (await held.get()).sample(stage.placed()),
    results: async () => {
      const opened = await held.get();
      await opened.sample(stage.placed());
      return opened.results(stage.placed());
    },
    footprint: () => held.current?.footprint() ?? null,
    close: async () => held.release(),
  };
}

/** Its results are not asked for: whether the kernel is right was found out when it was chosen. */
export function productRunner(stage: Stage, choice: ProductChoice): Runner {
  const held = new Held<OpenProduct>(stage, () => {
    const { gpu } = stage.meter;
    if (gpu === null) throw new RangeError("a matrix product needs a WebGPU device");
    return openProduct(gpu, choice);
  });
  return {
    warmsItself: false,
    sample: async () => (await held.get()).sample(),
    results: async () => new Map(),
    footprint: () => null,
    close: async () => held.release(),
  };
}

/** @param outputShape [B, H, Lq, Dv] */
export function peerRunner(peer: Peer, outputShape: readonly number[]): Runner {
  return {
    warmsItself: true,
    sample: async () => {
      const [milliseconds = Number.NaN] = await peer.time(1);
      return { time: milliseconds * NANOSECONDS, clock: "wall" };
    },
    results: async () => new Map([["o", { shape: outputShape, data: Float64Array.from(await peer.run()) }]]),
    footprint: () => null,
    close: () => peer.close(),
  };
}
