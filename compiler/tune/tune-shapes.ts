import { randomUUID } from "node:crypto";
import type { CallShape, Pipeline, Plan, Schedule, Target } from "../../runtime/contract/index.ts";
import { loadGradients } from "../emit/index.ts";
import type { Meter } from "../execution/meter.ts";
import type { CheckedSpec } from "../language/attention.ts";
import { packageVersion } from "../package.ts";
import { machinesOf, type PlanRequest } from "../plan/index.ts";
import { deviceFacts, EMITTED_TARGETS, type MeteredTarget } from "../targets.ts";
import {
  type CandidateChoice,
  checkSweeps,
  type KnobSweep,
  partOf,
  type Shard,
  sweepsFor,
  sweepsWithin,
  tuneCandidates,
} from "./candidates.ts";
import { bucketOf, specHash, type TuningKey, type TuningRecord } from "./record.ts";
import type { StoreContents, TuningStore } from "./store.ts";
import { runSweep, type SweepProgress, type SweepResult } from "./sweep.ts";
import { trialCandidate } from "./trial-candidates.ts";
import { speedOverFirst, type Winner, winnerOf } from "./winner.ts";

/** Lengths where neither the spec's `tune` block nor the flags name any. */
const DEFAULT_LENGTHS = [1024] as const;

/** What is computed: the attention, or its gradients. */
type Direction = Plan["direction"];

/** What one shape's sweep found, of one pass. */
export interface TunedShape {
  readonly shape: CallShape;
  readonly key: TuningKey;
  readonly result: SweepResult;
  readonly winner: Winner | null;
  readonly speedOverFirst: number | null;
  /** How many candidates there were to measure: none where a sweep has more shares than candidates. */
  readonly candidates: number;
}

/** What is to be tuned: each of these goes before what the spec's `tune` block says. */
export interface TuneWishes {
  readonly batch?: readonly number[];
  readonly lengths?: readonly number[];
  readonly sweep?: readonly KnobSweep[];
  readonly schedule?: Schedule;
  readonly candidates?: number;
  /** The backward pass, too. */
  readonly grad?: true;
  readonly shard?: Shard;
  /** Measures what is known already, too. */
  readonly again?: true;
  readonly seed: number;
  /** Milliseconds for all shapes together. */
  readonly budget?: number;
}

/** An attention, a device and a store, and who hears of what happens. */
export interface TuneJob {
  readonly spec: CheckedSpec;
  readonly pipeline: Pipeline;
  readonly shapes: readonly CallShape[];
  readonly meter: Meter;
  readonly store: TuningStore;
  readonly wishes: TuneWishes;
  readonly signal: AbortSignal;
  /** Lines of the store that are not used. */
  readonly onIgnored: (ignored: StoreContents["ignored"]) => void;
  readonly onProgress: (pass: TunedPass, progress: SweepProgress, budgetMs: number) => void;
  /** A pass of a shape is done. */
  readonly onTuned: (tuned: TunedShape) => void;
}

/** A forward or a backward pass of calls of a shape. */
export interface TunedPass {
  readonly shape: CallShape;
  readonly direction: Direction;
}

/** The passes that are tuned: one after the other, so that both are there of the first shapes where time runs out. */
export function passesToTune(
  shapes: readonly CallShape[],
  wishes: Pick<TuneWishes, "grad">,
): readonly TunedPass[] {
  return shapes.flatMap((shape) => directionsOf(wishes).map((direction) => ({ shape, direction })));
}

function directionsOf({ grad }: Pick<TuneWishes, "grad">): readonly Direction[] {
  return grad === true ? [undefined, "backward"] : [undefined];
}

/** Every batch size with every length. */
export function shapesToTune(
  spec: CheckedSpec,
  pipeline: Pipeline,
  wishes: Pick<TuneWishes, "batch" | "lengths">,
): readonly CallShape[] {
  const block = tuneOf(spec, pipeline);
  const some = (
    given: readonly number[] | undefined,
    own: readonly number[] | undefined,
    fallback: readonly number[],
  ) => given ?? (own === undefined || own.length === 0 ? fallback : own);
  const batches = some(wishes.batch, block?.batch, [1]);
  const lengths = some(wishes.lengths, block?.lengths, DEFAULT_LENGTHS);
  return batches.flatMap((B) => lengths.map((length) => ({ B, Lq: length, Lk: length, R: 0 })));
}

/**
 * Refuses sweeps that no device of a target knows: opening one may take long, and needs packages that such a mistake does not.
 *
 * @throws MtacError MTA406, MTA407
 */
export function refuseUnknownSweeps(
  spec: CheckedSpec,
  pipeline: Pipeline,
  target: MeteredTarget,
  wishes: TuneWishes,
): void {
  const [shape] = shapesToTune(spec, pipeline, wishes);
  if (shape === undefined) return;
  const sweeps = sweepsOf(spec, pipeline, { target, shape }, wishes);
  const requests = directionsOf(wishes).flatMap((direction) =>
    requestsOn(deviceFacts(target).runs, { shape, direction }, wishes),
  );
  checkSweeps(pipeline, requests, { sweeps });
}

/** Measures the plans that could win, shape by shape, and stores what it finds; ends early when `signal` says so. */
export async function tuneShapes(job: TuneJob): Promise<readonly TunedShape[]> {
  const { shapes, wishes, signal, onTuned } = job;
  const tuned: TunedShape[] = [];
  const passes = passesToTune(shapes, wishes);
  if (wishes.grad === true) await loadGradients();
  const start = performance.now();
  for (const [index, pass] of passes.entries()) {
    if (signal.aborted) break;
    // What is left of the budget is shared by the passes that are left.
    const left = (wishes.budget ?? Number.POSITIVE_INFINITY) - (performance.now() - start);
    const done = await tunePass(job, pass, Math.max(0, left / (passes.length - index)));
    onTuned(done);
    tuned.push(done);
  }
  return tuned;
}

async function tunePass(job: TuneJob, pass: TunedPass, budgetMs: number): Promise<TunedShape> {
  const { shape, direction } = pass;
  const { pipeline, meter, store, wishes, signal } = job;
  const key: TuningKey = {
    mtac: packageVersion(),
    spec: specHash(pipeline),
    target: meter.target,
    ...(direction === undefined ? {} : { direction }),
    device: meter.identity,
    storage: meter.machine.storage(pipeline),
    bucket: bucketOf(shape),
  };
  const candidates = candidatesFor(job, pass);
  const shard = wishes.shard ?? WHOLE;
  const own = partOf(candidates, shard);
  const { records, ignored } = store.read();
  job.onIgnored(ignored);
  const found: TuningRecord[] = [];
  const result = await runSweep({
    meter,
    pipeline,
    shape,
    candidates: own.map((candidate) => trialCandidate(candidate, candidate === candidates[0])),
    largestShare: Math.ceil(candidates.length / shard.count),
    key,
    known: wishes.again === true ? [] : records,
    sweep: randomUUID(),
    seed: wishes.seed,
    budgetMs,
    signal,
    record: (record) => {
      store.append(record);
      found.push(record);
    },
    onProgress: (progress) => job.onProgress(pass, progress, budgetMs),
  });
  const all = [...records, ...found];
  const winner = winnerOf(all, key);
  const speed = winner === null ? null : speedOverFirst(all, winner);
  return { shape, key, result, winner, speedOverFirst: speed, candidates: own.length };
}

const WHOLE: Shard = { index: 1, count: 1 };

function candidatesFor(
  { spec, pipeline, meter, wishes }: TuneJob,
  pass: TunedPass,
): ReturnType<typeof tuneCandidates> {
  const { shape, direction } = pass;
  const { machine, target } = meter;
  const request = { machine, shape, ...(direction === undefined ? {} : { direction }) };
  const asked = sweepsOf(spec, pipeline, { target, shape }, wishes);
  const choice: CandidateChoice = {
    ...scheduleOf(direction, wishes),
    sweeps: wishes.grad === true ? sweepsWithin(pipeline, [request], asked) : asked,
    most: wishes.candidates ?? deviceFacts(target).candidates,
  };
  return tuneCandidates(pipeline, request, choice);
}

/** Schedules are a choice of the forward pass: the backward one has strips only. */
function scheduleOf(
  direction: Direction,
  { schedule }: Pick<TuneWishes, "schedule">,
): Pick<PlanRequest, "schedule"> {
  return direction === "backward" || schedule === undefined ? {} : { schedule };
}

/** What the flags say, else those of the spec's sweeps that are for the target. */
function sweepsOf(
  spec: CheckedSpec,
  pipeline: Pipeline,
  { target, shape }: { readonly target: MeteredTarget; readonly shape: CallShape },
  wishes: TuneWishes,
): readonly KnobSweep[] {
  if (wishes.sweep !== undefined) return wishes.sweep;
  const { runs } = deviceFacts(target);
  const passes = directionsOf(wishes).map((direction) => ({ shape, direction }));
  const on = (each: Target): readonly PlanRequest[] => passes.flatMap((pass) => requestsOn(each, pass, {}));
  return sweepsFor(pipeline, tuneOf(spec, pipeline)?.sweeps ?? [], {
    own: on(runs),
    others: EMITTED_TARGETS.filter((each) => each !== runs).flatMap(on),
  });
}

function requestsOn(
  target: Target,
  { shape, direction }: TunedPass,
  wishes: Pick<TuneWishes, "schedule">,
): readonly PlanRequest[] {
  const asked = {
    shape,
    ...(direction === undefined ? {} : { direction }),
    ...scheduleOf(direction, wishes),
  };
  return machinesOf(target)
    .all()
    .map((machine) => ({ machine, ...asked }));
}

function tuneOf(spec: CheckedSpec, { name }: Pipeline): CheckedSpec["tunes"][number] | undefined {
  return spec.tunes.find(({ attention }) => attention === name);
}
