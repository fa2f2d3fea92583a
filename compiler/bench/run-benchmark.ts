import { availableParallelism, cpus } from "node:os";
import type { CallShape, Float64Tensor, Pipeline, Plan, Schedule } from "../../runtime/contract/index.ts";
import { referenceForward, referenceGradients } from "../../runtime/reference/index.ts";
import { TOLERANCES } from "../execution/comparison.ts";
import type { Meter } from "../execution/meter.ts";
import { randomCall } from "../execution/random-call.ts";
import type { AttentionCall } from "../execution/request.ts";
import {
  compulsoryBytes,
  compulsoryGradientBytes,
  floorGradientMultiplyAdds,
  forwardOperations,
} from "../ir/index.ts";
import { packageVersion } from "../package.ts";
import { layerFor } from "../tune/trial-candidates.ts";
import { findProduct, type ProductChoice, productOperations } from "./matmul.ts";
import { openPeers, type Peer, type PeerName, type PeerRequest, type PeerResult } from "./peers/index.ts";
import type { BenchReport, LengthReport, MissingPeer, ProductReport, Provenance } from "./report.ts";
import { growthsOf, peerRow, perSecond, planRow } from "./rows.ts";
import { peerRunner, planRunner, productRunner, Stage } from "./runners.ts";
import { type PlanSubject, planSubjects } from "./subjects.ts";
import { type Contestant, contestant, spreadOf, type TurnProgress, takeTurns } from "./turns.ts";

export interface BenchRequest {
  readonly meter: Meter;
  readonly pipeline: Pipeline;
  /** Where the pipeline comes from: path and text. */
  readonly spec: { readonly file: string; readonly text: string };
  readonly batch: number;
  readonly lengths: readonly number[];
  readonly schedule: Schedule | undefined;
  /** For `depth_scale`; the first layer, if not given. */
  readonly layer: number | undefined;
  readonly rounds: number;
  readonly seed: number;
  readonly peers: readonly PeerName[];
  /** Threads of peers on the processor: as many as mtac's own calls use. */
  readonly threads?: number | undefined;
  /** The folder from which peers' packages are looked up. */
  readonly resolveFrom: string;
  /** Whether the backward pass is timed, too; not, if not given. */
  readonly grad?: boolean;
  /** The plan that won on the meter's device near a shape, of the attention itself or of its gradients. */
  readonly tuned: (shape: CallShape, direction: Plan["direction"]) => Plan | null;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: BenchProgress) => void;
  /** How peers and the matrix product are found; tests give their own. */
  readonly openPeers?: (request: PeerRequest, names: readonly PeerName[]) => Promise<PeerResult[]>;
  readonly findProduct?: typeof findProduct;
}

export interface BenchProgress extends Omit<TurnProgress, "step"> {
  readonly step: TurnProgress["step"] | "opening";
  readonly length: number;
  /** Lengths before this one, and all. */
  readonly lengthsDone: number;
  readonly lengths: number;
}

const SOFTWARE_ADAPTER = /swiftshader|llvmpipe|lavapipe/i;
const SOFTWARE_NOTE =
  "this WebGPU device is software on the processor: ratios between plans hold for it, none says anything about a GPU, and peers that use the processor itself are far ahead of it";

/** Errors of peers that compute in f32, and in 16 bits (their maps too, where mtac's are f32). */
const PEER_BOUNDS = { float32: 5e-5, half: 5e-2 } as const;

/**
 * Times mtac's plans and its peers over lengths, on random inputs, each checked on the very call that is timed. An interruption ends it after the
 * run that is under way; the report then holds what there is.
 *
 * @throws MtacError MTA405 when no schedule fits the device; whatever is no fault of a subject
 */
export async function runBenchmark(request: BenchRequest): Promise<BenchReport> {
  const { meter, pipeline, spec, lengths, rounds, seed, signal } = request;
  const provenance = provenanceNow();
  const found = await (request.findProduct ?? findProduct)(meter, signal);
  const product = "kernel" in found ? found : null;
  const missing = new Map<string, MissingPeer>();
  const notes = new Set<string>(SOFTWARE_ADAPTER.test(meter.identity) ? [SOFTWARE_NOTE] : []);
  const reports: LengthReport[] = [];
  for (const length of lengths) {
    if (signal.aborted) break;
    reports.push(await benchLength({ request, length, product, missing, notes, before: reports.length }));
  }
  const { heads, kvHeads, headDim, valueDim, storage, name } = pipeline;
  return {
    format: 1,
    provenance,
    spec: { ...spec, attention: name, heads, kvHeads, headDim, valueDim, storage },
    target: meter.target,
    device: { description: meter.description, identity: meter.identity },
    unit: meter.unit,
    rounds: meter.exact ? 1 : rounds,
    seed,
    product: "kernel" in found ? productReport(found) : { reason: found.reason },
    missing: [...missing.values()],
    notes: [...notes],
    lengths: reports,
    growth: growthsOf(reports),
    interrupted: signal.aborted,
  };
}

interface LengthBench {
  readonly request: BenchRequest;
  readonly length: number;
  readonly product: ProductChoice | null;
  readonly missing: Map<string, MissingPeer>;
  readonly notes: Set<string>;
  /** Lengths before this one. */
  readonly before: number;
}

async function benchLength(bench: LengthBench): Promise<LengthReport> {
  const { request, length, product, notes } = bench;
  const { meter, pipeline, batch, signal, grad = false } = request;
  const shape: CallShape = { B: batch, Lq: length, Lk: length, R: 0 };
  const report = (progress: Omit<BenchProgress, "length" | "lengthsDone" | "lengths">): void =>
    request.onProgress({
      ...progress,
      length,
      lengthsDone: bench.before,
      lengths: request.lengths.length,
    });
  const call = randomCall(pipeline, shape, {
    seed: request.seed,
    layer: request.layer ?? layerFor(pipeline),
    grad,
  });
  const { subjects, notes: left } = planSubjects(meter, {
    pipeline,
    shape,
    schedule: request.schedule,
    tuned: request.tuned(shape, undefined),
    tunedBackward: grad ? request.tuned(shape, "backward") : null,
    grad,
  });
  for (const note of left) notes.add(note);
  report({ step: "opening", done: 0, total: 1, name: request.peers.length === 0 ? "the device" : "peers" });
  const peers = await availablePeers(bench, shape, call);
  const stage = new Stage(meter, pipeline, call);
  const bounds = TOLERANCES[pipeline.storage];
  const reference = referenceOf(pipeline, call);
  const outputShape = [batch, pipeline.heads, length, pipeline.valueDim];
  const ours = subjects.map((subject) => {
    const runner = planRunner(stage, subject.plan);
    const one =
      subject.kind === "backward"
        ? contestant(subject.name, runner, () => bounds.gradients, reference.gradients)
        : contestant(subject.name, runner, () => bounds.forward);
    return [subject, one] as const;
  });
  const theirs = peers.map(
    (peer) => [peer, contestant(peer.name, peerRunner(peer, outputShape), peerBound(peer))] as const,
  );
  const measure = product === null ? null : contestant("matrix product", productRunner(stage, product), null);
  const contestants = [...(measure === null ? [] : [measure]), ...[...ours, ...theirs].map(([, one]) => one)];
  try {
    await takeTurns({
      contestants,
      expected: reference.forward,
      rounds: meter.exact ? 1 : request.rounds,
      exact: meter.exact,
      signal,
      restart: () => stage.restart(),
      onTurn: report,
    });
    return lengthReport({ pipeline, shape, unit: meter.unit, grad, product, measure, ours, theirs });
  } finally {
    for (const { runner } of contestants) await runner.close();
    stage.release();
  }
}

/** One length's runs, done. */
interface Finished {
  readonly pipeline: Pipeline;
  readonly shape: CallShape;
  readonly unit: Meter["unit"];
  readonly grad: boolean;
  readonly product: ProductChoice | null;
  readonly measure: Contestant | null;
  /** Plans and peers, each with its runs. */
  readonly ours: readonly (readonly [PlanSubject, Contestant])[];
  readonly theirs: readonly (readonly [Peer, Contestant])[];
}

function lengthReport(finished: Finished): LengthReport {
  const { pipeline, shape, unit, grad, product, measure, ours, theirs } = finished;
  const time = measure === null ? null : spreadOf(measure);
  const base = {
    shape,
    operations: forwardOperations(pipeline, shape),
    compulsoryBytes: compulsoryBytes(pipeline, shape),
    gradients: grad
      ? {
          operations: 2 * floorGradientMultiplyAdds(pipeline, shape),
          compulsoryBytes: compulsoryGradientBytes(pipeline, shape),
        }
      : null,
    product:
      time === null || product === null
        ? null
        : { ...time, operationsPerSecond: perSecond(productOperations(product.size), time) },
  };
  const baseline = ours.find(([{ kind }]) => kind === "baseline")?.[1];
  const forwards = ours.filter(([{ kind }]) => kind !== "backward");
  const taken = forwards.find(([{ tuned }]) => tuned) ?? forwards.find(([{ chosen }]) => chosen);
  const context = {
    ...base,
    unit,
    baseline: baseline === undefined ? null : spreadOf(baseline),
    forward: taken === undefined ? null : spreadOf(taken[1]),
  };
  const rows = [
    ...ours.map(([subject, one]) => planRow(subject, one, context)),
    ...theirs.map(([peer, one]) => peerRow(peer, one, context)),
  ];
  return { ...base, rows };
}

/** Opens the peers; those that are not there are remembered with their reasons. */
async function availablePeers(
  { request, length, missing }: LengthBench,
  shape: CallShape,
  call: AttentionCall,
): Promise<readonly Peer[]> {
  const { pipeline, peers, resolveFrom, layer, meter, threads } = request;
  if (peers.length === 0) return [];
  // Beside the processor's own target, all compute on the processor, with as many threads.
  const processor =
    meter.target === "cpu" ? { processor: { threads: threads ?? availableParallelism() } } : {};
  const results = await (request.openPeers ?? openPeers)(
    { pipeline, shape, ...call, resolveFrom, ...processor, ...(layer === undefined ? {} : { layer }) },
    peers,
  );
  return results.flatMap((result) => {
    if (result.available) return [result.peer];
    // An interruption ends peers as well: that they are gone then means nothing.
    if (request.signal.aborted) return [];
    const { name, reason, remedy } = result;
    const key = `${name} ${reason}`;
    const lengths = [...(missing.get(key)?.lengths ?? []), length];
    missing.set(key, { name, lengths, reason, remedy });
    return [];
  });
}

type Results = ReadonlyMap<string, Float64Tensor>;

/** What results are compared with: computed when it is asked for, once. */
function referenceOf(
  pipeline: Pipeline,
  { parameters, inputs, dO }: AttentionCall,
): { readonly forward: () => Results; readonly gradients: () => Results } {
  const forward = once((): Results => {
    const { o, lse } = referenceForward(pipeline, parameters, inputs);
    return new Map(Object.entries(lse === null ? { o } : { o, lse }));
  });
  // Of the parameters' gradients some are sums that cancel: `verify --grad` looks at those.
  const gradients = once((): Results => {
    if (dO === null) throw new RangeError("gradients of a call without a gradient of its output");
    const { dQ, dK, dV } = referenceGradients(pipeline, parameters, inputs, dO);
    return new Map(Object.entries({ d_q: dQ, d_k: dK, d_v: dV }));
  });
  return { forward, gradients };
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | null = null;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

function peerBound({ device }: Peer): () => number {
  const bound = device.endsWith("float32") ? PEER_BOUNDS.float32 : PEER_BOUNDS.half;
  return () => bound;
}

function productReport({ kernel, size }: ProductChoice): ProductReport {
  return { kernel: kernel.name, size, operations: productOperations(size) };
}

function provenanceNow(): Provenance {
  return {
    mtac: packageVersion(),
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
    processor: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    at: new Date().toISOString(),
  };
}
