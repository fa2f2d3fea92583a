import type { Meter, MeteredPlan, PlacedCall, Sample } from "../../compiler/execution/meter.ts";
import type { AttentionCall } from "../../compiler/execution/request.ts";
import { planCandidates, WEBGPU_COMMON_LIMITS, webgpuMachine } from "../../compiler/plan/index.ts";
import type { TuningKey, TuningRecord } from "../../compiler/tune/record.ts";
import { bucketOf, specHash } from "../../compiler/tune/record.ts";
import type { SweepRequest } from "../../compiler/tune/sweep.ts";
import { type TrialCandidate, trialCandidate } from "../../compiler/tune/trial-candidates.ts";
import { type Float64Tensor, MtacError, type Plan } from "../../runtime/contract/index.ts";
import { referenceForward } from "../../runtime/reference/index.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { Random } from "../support/random.ts";

/** How a simulated device treats one plan. */
export interface Behaviour {
  /** Nanoseconds of a run. */
  readonly time: number;
  readonly fault?: "wrong" | "compile" | "device-lost";
}

const pipeline = pipelineOf(
  "attention probe { heads 1 head_dim 4 mask causal scores { conv 2x3 } }",
  "probe",
);
const shape = { B: 1, Lq: 20, Lk: 20, R: 0 };

export const KEY: TuningKey = {
  mtac: "1.2.3",
  spec: specHash(pipeline),
  target: "webgpu",
  device: "simulated",
  storage: "f32",
  bucket: bucketOf(shape),
};

/** Candidates of a small attention, as the planner ranks them. */
export function someCandidates(count: number): readonly TrialCandidate[] {
  return planCandidates(pipeline, { machine: webgpuMachine(WEBGPU_COMMON_LIMITS), shape })
    .filter(({ reason }) => reason === null)
    .slice(0, count)
    .map((candidate, index) => trialCandidate(candidate, index === 0));
}

/**
 * A device whose plans take the times that a test gives them, times noise and a drift. Results are the reference's: what is
 * simulated is the clock and the faults, not the tuner.
 */
export class SimulatedMeter implements Meter<PlacedCall> {
  readonly target = "webgpu";
  readonly identity = "simulated";
  readonly description = "simulated device";
  readonly machine = webgpuMachine(WEBGPU_COMMON_LIMITS);
  readonly unit = "ns";
  readonly exact: boolean;
  readonly gpu = null;
  readonly runs = new Map<Plan, number>();
  opened = 0;
  restarts = 0;
  #lost = false;
  readonly #behaviour: (plan: Plan) => Behaviour;
  readonly #random: Random | null;

  constructor(behaviour: (plan: Plan) => Behaviour, options: { exact?: boolean; noise?: number } = {}) {
    this.#behaviour = behaviour;
    this.exact = options.exact ?? false;
    this.#random = options.noise === undefined ? null : new Random(options.noise);
  }

  place(): PlacedCall {
    if (this.#lost) throw new Error("the sweep uses a lost device");
    return { release: () => {} };
  }

  async open(plan: Plan, call: AttentionCall): Promise<MeteredPlan> {
    if (this.#lost) throw new Error("the sweep uses a lost device");
    this.opened += 1;
    const { fault } = this.#behaviour(plan);
    if (fault === "compile") throw new MtacError("MTA713", "device", "it does not compile");
    return {
      sample: () => this.#sample(plan),
      results: async () => this.#results(call, fault === "wrong"),
      footprint: () => null,
      release: () => {},
    };
  }

  async #sample(plan: Plan): Promise<Sample> {
    if (this.#lost) throw new Error("the sweep uses a lost device");
    const { time, fault } = this.#behaviour(plan);
    const run = (this.runs.get(plan) ?? 0) + 1;
    this.runs.set(plan, run);
    if (fault === "device-lost" && run === 3) {
      this.#lost = true;
      throw new MtacError("MTA705", "device", "the device was lost");
    }
    const noise = this.#random === null ? 1 : 1 + 0.3 * this.#random.uniform();
    return { time: time * noise, clock: "device" };
  }

  /** Of whichever call ran last: sweeps look at results of the small call alone. */
  #results(_call: AttentionCall, wrong: boolean): ReadonlyMap<string, Float64Tensor> {
    const { o, lse } = referenceForward(pipeline, this.checked.parameters, this.checked.inputs);
    const bent = wrong ? { ...o, data: o.data.map((value) => value + 1) } : o;
    return new Map(
      lse === null
        ? [["o", bent]]
        : [
            ["o", bent],
            ["lse", lse],
          ],
    );
  }

  /** The small call, which the test gives. */
  checked: AttentionCall = {
    inputs: { q: NOTHING, k: NOTHING, v: NOTHING },
    parameters: new Map(),
    dO: null,
  };

  async restart(): Promise<void> {
    this.#lost = false;
    this.restarts += 1;
  }

  async close(): Promise<void> {}
}

const NOTHING: Float64Tensor = { shape: [0], data: new Float64Array() };

/** A sweep over a simulated device, and the records that it leaves. */
export function sweepRequest(
  meter: SimulatedMeter,
  candidates: readonly TrialCandidate[],
  records: TuningRecord[],
  more: Partial<SweepRequest<PlacedCall>> = {},
): SweepRequest<PlacedCall> {
  return {
    meter,
    pipeline,
    shape,
    candidates,
    key: KEY,
    known: [],
    sweep: "test",
    seed: 5,
    budgetMs: Number.POSITIVE_INFINITY,
    signal: new AbortController().signal,
    record: (record) => void records.push(record),
    onProgress: () => {},
    ...more,
  };
}

export { pipeline as probePipeline, shape as probeShape };
