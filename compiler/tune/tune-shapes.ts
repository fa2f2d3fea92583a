import { randomUUID } from "node:crypto";
import type { CallShape, Pipeline, Schedule, Target } from "../../runtime/contract/index.ts";
import type { Meter } from "../execution/meter.ts";
import type { CheckedSpec } from "../language/attention.ts";
import { packageVersion } from "../package.ts";
import { machinesOf, type PlanRequest } from "../plan/index.ts";
import { deviceFacts, EMITTED_TARGETS, type MeteredTarget } from "../targets.ts";
import { checkSweeps, type KnobSweep, type Shard, sweepsFor, tuneCandidates } from "./candidates.ts";
import { bucketOf, specHash, type TuningKey, type TuningRecord } from "./record.ts";
import type { StoreContents, TuningStore } from "./store.ts";
import { runSweep, type SweepProgress, type SweepResult } from "./sweep.ts";
import { trialCandidate } from "./trial-candidates.ts";
import { speedOverFirst, type Winner, winnerOf } from "./winner.ts";

/** Lengths where neither the spec's `tune` block nor the flags name any. */
const DEFAULT_LENGTHS = [1024] as const;

/** What one shape's sweep found. */
export interface TunedShape {
  readonly shape: CallShape;
  readonly key: TuningKey;
  readonly result: SweepResult;
  readonly winner: Winner | null;
  readonly speedOverFirst: number | null;
}

/** What is to be tuned: each of these goes before what the spec's `tune` block says. */
export interface TuneWishes {
  readonly batch?: readonly number[];
  readonly lengths?: readonly number[];
  readonly sweep?: readonly KnobSweep[];
  readonly schedule?: Schedule;
  readonly candidates?: number;
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
  readonly onProgress: (shape: CallShape, progress: SweepProgress, budgetMs: number) => void;
  /** A shape is done. */
  readonly onTuned: (tuned: TunedShape) => void;
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
  checkSweeps(pipeline, requestsOn(deviceFacts(target).runs, shape), { schedule: wishes.schedule, sweeps });
}

/** Measures the plans that could win, shape by shape, and stores what it finds; ends early when `signal` says so. */
export async function tuneShapes(job: TuneJob): Promise<readonly TunedShape[]> {
  const { shapes, wishes, signal, onTuned } = job;
  const tuned: TunedShape[] = [];
  const start = performance.now();
  for (const [index, shape] of shapes.entries()) {
    if (signal.aborted) break;
    // What is left of the budget is shared by the shapes that are left.
    const left = (wishes.budget ?? Number.POSITIVE_INFINITY) - (performance.now() - start);
    const done = await tuneShape(job, shape, Math.max(0, left / (shapes.length - index)));
    onTuned(done);
    tuned.push(done);
  }
  return tuned;
}

async function tuneShape(job: TuneJob, shape: CallShape, budgetMs: number): Promise<TunedShape> {
  const { pipeline, meter, store, wishes, signal } = job;
  const key: TuningKey = {
    mtac: packageVersion(),
    spec: specHash(pipeline),
    target: meter.target,
    device: meter.identity,
    storage: meter.machine.storage(pipeline),
    bucket: bucketOf(shape),
  };
  const candidates = candidatesFor(job, shape);
  const { records, ignored } = store.read();
  job.onIgnored(ignored);
  const found: TuningRecord[] = [];
  const result = await runSweep({
    meter,
    pipeline,
    shape,
    candidates: candidates.map((candidate, index) => trialCandidate(candidate, index === 0)),
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
    onProgress: (progress) => job.onProgress(shape, progress, budgetMs),
  });
  const all = [...records, ...found];
  const winner = winnerOf(all, key);
  return { shape, key, result, winner, speedOverFirst: winner === null ? null : speedOverFirst(all, winner) };
}

function candidatesFor(
  { spec, pipeline, meter, wishes }: TuneJob,
  shape: CallShape,
): ReturnType<typeof tuneCandidates> {
  const choice = {
    schedule: wishes.schedule,
    sweeps: sweepsOf(spec, pipeline, { target: meter.target, shape }, wishes),
    most: wishes.candidates ?? deviceFacts(meter.target).candidates,
    shard: wishes.shard,
  };
  return tuneCandidates(pipeline, { machine: meter.machine, shape }, choice);
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
  return sweepsFor(pipeline, tuneOf(spec, pipeline)?.sweeps ?? [], {
    own: requestsOn(runs, shape),
    others: EMITTED_TARGETS.filter((each) => each !== runs).flatMap((each) => requestsOn(each, shape)),
  });
}

function requestsOn(target: Target, shape: CallShape): readonly PlanRequest[] {
  return machinesOf(target)
    .all()
    .map((machine) => ({ machine, shape }));
}

function tuneOf(spec: CheckedSpec, { name }: Pipeline): CheckedSpec["tunes"][number] | undefined {
  return spec.tunes.find(({ attention }) => attention === name);
}
