import { describe, expect, test } from "vitest";
import type { Peer, PeerRequest, PeerResult } from "../../compiler/bench/peers/index.ts";
import { type BenchRequest, runBenchmark } from "../../compiler/bench/run-benchmark.ts";
import { backwardNote } from "../../compiler/bench/summary.ts";
import type { Meter, MeteredPlan, PlacedCall } from "../../compiler/execution/meter.ts";
import type { AttentionCall } from "../../compiler/execution/request.ts";
import { cpuMachine, type Machine, WEBGPU_COMMON_LIMITS, webgpuMachine } from "../../compiler/plan/index.ts";
import type { MeteredTarget } from "../../compiler/targets.ts";
import type { CallFootprint } from "../../runtime/contract/call.ts";
import type { Float64Tensor, Pipeline, Plan } from "../../runtime/contract/index.ts";
import { referenceForward, referenceGradients } from "../../runtime/reference/index.ts";
import { pipelineOf } from "../support/pipelines.ts";

// The whole benchmark on a device that computes by the reference and whose clock the tests set: time is L² for the
// baseline, half of that for every other plan.

const PIPELINE = pipelineOf("attention toy { heads 2 head_dim 4 mask causal scores { conv 2x3 } }", "toy");

function baselineIs({ knobs }: Plan): boolean {
  // All rows at once.
  return Object.values(knobs).includes(Number.MAX_SAFE_INTEGER);
}

function right({ parameters, inputs }: AttentionCall): ReadonlyMap<string, Float64Tensor> {
  const { o, lse } = referenceForward(PIPELINE, parameters, inputs);
  return new Map(Object.entries(lse === null ? { o } : { o, lse }));
}

function rightGradients({ parameters, inputs, dO }: AttentionCall): ReadonlyMap<string, Float64Tensor> {
  if (dO === null) throw new Error("nobody asked for gradients");
  const { dQ, dK, dV } = referenceGradients(PIPELINE, parameters, inputs, dO);
  return new Map(Object.entries({ d_q: dQ, d_k: dK, d_v: dV }));
}

class SimulatedMeter implements Meter {
  readonly target: MeteredTarget;
  readonly identity = "simulated|1";
  readonly description = "simulated";
  readonly machine: Machine;
  readonly unit = "ns";
  readonly exact = false;
  readonly gpu = null;
  /** Plans that are open now. */
  opened = 0;
  readonly #spoil: (plan: Plan) => boolean;

  constructor(
    spoil: (plan: Plan) => boolean = () => false,
    machine: Machine = webgpuMachine(WEBGPU_COMMON_LIMITS),
  ) {
    this.#spoil = spoil;
    this.target = machine.target;
    this.machine = machine;
  }

  place(_pipeline: Pipeline, _call: AttentionCall): PlacedCall {
    return { release: () => {} };
  }

  async open(plan: Plan, call: AttentionCall): Promise<MeteredPlan> {
    this.opened += 1;
    const length = call.inputs.q.shape[2] ?? 0;
    const footprint: CallFootprint = {
      schedule: plan.schedule,
      tuned: false,
      kernels: 1,
      peakBytes: 1000 * length,
      compulsoryBytes: 0,
      workspaceBytes: 10 * length,
    };
    const factor = plan.direction === "backward" ? 1.5 : baselineIs(plan) ? 1 : 0.5;
    const computed = plan.direction === "backward" ? rightGradients : right;
    return {
      sample: async () => ({ time: factor * length ** 2, clock: "device" }),
      results: async () => (this.#spoil(plan) ? new Map() : computed(call)),
      footprint: () => footprint,
      release: () => {
        this.opened -= 1;
      },
    };
  }

  async restart(): Promise<void> {}
  async close(): Promise<void> {}
}

/** A peer that computes by the reference in 2 L² nanoseconds. */
function peerOf(request: PeerRequest, closed: () => void): Peer {
  const { o } = referenceForward(request.pipeline, request.parameters, request.inputs);
  return {
    name: "pytorch",
    version: "9.9",
    device: "a processor, computes in float32",
    run: async () => Float32Array.from(o.data),
    time: async (count) => Array.from({ length: count }, () => (2 * request.shape.Lq ** 2) / 1e6),
    close: async () => closed(),
  };
}

function request(meter: Meter, more: Partial<BenchRequest> = {}): BenchRequest {
  return {
    meter,
    pipeline: PIPELINE,
    spec: { file: "toy.mta", text: "attention toy" },
    batch: 1,
    lengths: [8, 16],
    schedule: undefined,
    layer: undefined,
    rounds: 3,
    seed: 1,
    peers: [],
    resolveFrom: ".",
    tuned: () => null,
    signal: new AbortController().signal,
    onProgress: () => {},
    ...more,
  };
}

describe("a benchmark", () => {
  test("compares every legal schedule with the baseline, and fits the growth", async () => {
    const meter = new SimulatedMeter();
    const report = await runBenchmark(request(meter));
    expect(report.lengths.map(({ rows }) => rows.map(({ subject }) => subject))).toEqual([
      ["unfused", "single_pass", "two_pass", "staged"],
      ["unfused", "single_pass", "two_pass", "staged"],
    ]);
    const [, second] = report.lengths;
    expect(second?.rows[0]).toMatchObject({
      kind: "baseline",
      state: "measured",
      speedup: 1,
      time: { median: 256, low: 256, high: 256, samples: 3, clock: "device" },
    });
    expect(second?.rows[1]).toMatchObject({ speedup: 2, peakBytes: 16_000 });
    // 2 heads of 16·17/2 visible pairs; 4 + 4 for the products, 6 taps; two operations a multiply-add.
    expect(second?.operations).toBe(2 * 2 * 136 * (8 + 6));
    expect(second?.rows[1]?.operationsPerSecond).toBeCloseTo((2 * 2 * 136 * 14) / 128e-9, -3);
    expect(second?.rows[1]?.bytesOverCompulsory).toBe(16_000 / (second?.compulsoryBytes ?? 0));
    expect(report.lengths.every(({ rows }) => rows.filter(({ chosen }) => chosen).length === 1)).toBe(true);
    expect(report.growth.map(({ exponent }) => exponent.toFixed(9))).toEqual(Array(4).fill("2.000000000"));
    expect(report.product).toEqual({ reason: "mtac has a plain matrix product on WebGPU only" });
    expect(meter.opened).toBe(0);
  });

  test("with its backward pass: over the forward pass that the planner chose, and over floors of its own", async () => {
    const processor = cpuMachine({ lanes: 8, threads: 1 });
    const meter = new SimulatedMeter(undefined, processor);
    const report = await runBenchmark(request(meter, { grad: true }));
    const [, second] = report.lengths;
    expect(second?.rows.map(({ subject }) => subject)).toEqual(["unfused", "staged", "backward"]);
    // 4 + 4 + 4 for scores again and the gradients of q and k, 4 + 4 for those of the weights and v, 6 taps three times.
    const operations = 2 * 2 * 136 * (20 + 18);
    expect(second?.gradients).toMatchObject({ operations });
    const backward = second?.rows[2];
    expect(backward).toMatchObject({
      kind: "backward",
      state: "measured",
      error: { error: 0, bound: 2e-5 },
      time: { median: 1.5 * 256 },
      timeOverForward: 3,
      speedup: null,
      workspaceBytes: 160,
      bytesOverCompulsory: 16_000 / (second?.gradients?.compulsoryBytes ?? 0),
    });
    expect(backward?.operationsPerSecond).toBeCloseTo(operations / (1.5 * 256e-9), -3);
    expect(second === undefined ? null : backwardNote(second)).toMatch(
      /^backward takes 3× the time of the forward pass; .* operations at least, 2\.71× the forward pass's; workspace 160 B$/,
    );
    expect(second?.rows[1]).toMatchObject({ kind: "schedule", timeOverForward: null });
    expect(meter.opened).toBe(0);
    const wrong = await runBenchmark(
      request(new SimulatedMeter(({ direction }) => direction === "backward", processor), { grad: true }),
    );
    expect(wrong.lengths[0]?.rows[2]).toMatchObject({ state: "wrong", time: null, timeOverForward: null });
    expect(wrong.lengths.map(backwardNote)).toEqual([null, null]);
  });

  test("one schedule only, where one is named", async () => {
    const report = await runBenchmark(request(new SimulatedMeter(), { schedule: "two_pass" }));
    expect(report.lengths[0]?.rows.map(({ subject, chosen }) => [subject, chosen])).toEqual([
      ["unfused", false],
      ["two_pass", true],
    ]);
  });

  test("wrong results have no time and no speed, and their bytes say nothing", async () => {
    const meter = new SimulatedMeter(({ schedule }) => schedule === "two_pass");
    const report = await runBenchmark(request(meter));
    for (const { rows } of report.lengths) {
      expect(rows.find(({ subject }) => subject === "two_pass")).toMatchObject({
        state: "wrong",
        reason: expect.stringContaining("from the reference"),
        time: null,
        speedup: null,
        operationsPerSecond: null,
        bytesOverCompulsory: null,
      });
    }
    expect(report.growth.map(({ subject }) => subject)).not.toContain("two_pass");
  });

  test("the tuned plan is marked where it is a schedule's best, else it is a row of its own", async () => {
    const plans: Plan[] = [];
    const meter = new SimulatedMeter();
    const open = meter.open.bind(meter);
    meter.open = (plan, call) => {
      plans.push(plan);
      return open(plan, call);
    };
    await runBenchmark(request(meter, { lengths: [8] }));
    const staged = plans.find((plan) => plan.schedule === "staged" && !baselineIs(plan));
    if (staged === undefined) throw new Error("no staged plan was opened");
    const same = await runBenchmark(request(meter, { lengths: [8], tuned: () => staged }));
    expect(same.lengths[0]?.rows.map(({ subject, tuned }) => [subject, tuned])).toContainEqual([
      "staged",
      true,
    ]);
    expect(same.lengths[0]?.rows.some(({ subject }) => subject === "tuned")).toBe(false);
    const other = { ...staged, knobs: { ...staged.knobs, strip_rows: 7 } };
    const own = await runBenchmark(request(meter, { lengths: [8], tuned: () => other }));
    expect(own.lengths[0]?.rows.at(-1)).toMatchObject({ subject: "tuned", kind: "tuned", tuned: true });
  });
});

describe("peers", () => {
  test("run beside the plans, without shares and bytes, and are closed", async () => {
    let closed = 0;
    const openPeers = async (each: PeerRequest): Promise<PeerResult[]> => [
      { available: true, peer: peerOf(each, () => (closed += 1)) },
      { available: false, name: "onnxruntime-node", reason: "it is not there", remedy: "install it" },
    ];
    const peers = ["onnxruntime-node", "pytorch"] as const;
    const report = await runBenchmark(request(new SimulatedMeter(), { peers, openPeers }));
    expect(report.lengths[1]?.rows.at(-1)).toMatchObject({
      subject: "pytorch",
      kind: "peer",
      version: "9.9",
      state: "measured",
      time: { median: 512, clock: "wall" },
      speedup: 0.5,
      shareOfProduct: null,
      bytesOverCompulsory: null,
    });
    expect(report.missing).toEqual([
      { name: "onnxruntime-node", lengths: [8, 16], reason: "it is not there", remedy: "install it" },
    ]);
    expect(closed).toBe(2);
  });
});

test("an interruption keeps what there is", async () => {
  const controller = new AbortController();
  const report = await runBenchmark(
    request(new SimulatedMeter(), {
      signal: controller.signal,
      onProgress: ({ length, step, name }) => {
        if (length === 16 && step === "timing" && name === "two_pass") controller.abort();
      },
    }),
  );
  expect(report.interrupted).toBe(true);
  const states = report.lengths.map(({ rows }) => rows.map(({ state }) => state).join(" "));
  expect(states).toEqual(["measured measured measured measured", "measured measured measured interrupted"]);
});
