import { randomUUID } from "node:crypto";
import type { CallShape, Pipeline } from "../../../runtime/contract/index.ts";
import type { Meter } from "../../execution/meter.ts";
import { refuseOverlap } from "../../files/overlap.ts";
import { resolve } from "../../ir/index.ts";
import type { CheckedSpec } from "../../language/attention.ts";
import { packageVersion } from "../../package.ts";
import { CUDA_ARCHITECTURES, cudaMachine, WEBGPU_VARIANTS, webgpuMachine } from "../../plan/index.ts";
import { formatCount, formatMilliseconds, formatRatio, plural } from "../../report/units.ts";
import { openMeter } from "../../targets/index.ts";
import { deviceFacts } from "../../targets.ts";
import { type Output, openOutput } from "../../terminal/output.ts";
import { formatClock, progressLine } from "../../terminal/progress.ts";
import { table } from "../../terminal/style.ts";
import { checkSweeps, type KnobSweep, tuneCandidates } from "../../tune/candidates.ts";
import { bucketOf, specHash, type TuningKey, type TuningRecord } from "../../tune/record.ts";
import { openStore, type TuningStore } from "../../tune/store.ts";
import { runSweep, type SweepProgress, type SweepResult } from "../../tune/sweep.ts";
import { describeCandidate, trialCandidate } from "../../tune/trial-candidates.ts";
import { storageOn } from "../../tune/use.ts";
import { speedOverFirst, type Winner, winnerOf } from "../../tune/winner.ts";
import { notTunable } from "../errors.ts";
import { Finished } from "../failure.ts";
import { checkArchitecture } from "../flags.ts";
import { chooseAttention } from "../specs/attention-choice.ts";
import { readSpec } from "../specs/spec-file.ts";
import type { TuneFlags } from "./command.ts";
import { noteIgnored } from "./selection.ts";

/** Lengths where neither the spec's `tune` block nor the flags name any. */
const DEFAULT_LENGTHS = [1024] as const;

/** What one shape's sweep found. */
interface TunedShape {
  readonly shape: CallShape;
  readonly key: TuningKey;
  readonly result: SweepResult;
  readonly winner: Winner | null;
  readonly speedOverFirst: number | null;
}

/** `mtac tune SPEC`: measures the plans that could win, and stores what it finds. */
export async function run(file: string | undefined, flags: TuneFlags): Promise<void> {
  // A word that is none of the subcommands is no spec either: specs end in .mta or .ts.
  if (file === undefined || !/\.(mta|[cm]?ts)$/.test(file)) throw notTunable(file ?? "");
  const { target } = flags;
  const output = openOutput(flags);
  checkArchitecture(flags);
  const store = openStore(flags.store);
  refuseOverlap([{ name: "`--store`", path: store.file }], [{ name: "the spec", path: file }]);
  store.check();
  const spec = await readSpec(file, output);
  const pipeline = resolve(chooseAttention(spec, flags).attention, file);
  const shapes = shapesOf(spec, pipeline, flags);
  refuseUnknownSweeps(spec, pipeline, shapes, flags);
  const interruption = new AbortController();
  const interrupt = (): void => interruption.abort();
  process.once("SIGINT", interrupt);
  const meter = await openMeter(target, flags.arch);
  try {
    output.note(
      `tuning ${output.noteStyle.bold(pipeline.name)} on ${meter.description}: ${plural(shapes.length, "shape")}, results in ${store.file}`,
    );
    const tuned = await tuneShapes({
      spec,
      pipeline,
      shapes,
      meter,
      store,
      flags,
      output,
      signal: interruption.signal,
    });
    output.text(formatShapes(tuned, meter, output));
    output.result({
      attention: pipeline.name,
      target,
      device: meter.identity,
      store: store.file,
      interrupted: interruption.signal.aborted,
      shapes: tuned.map(shapeReport),
    });
    if (interruption.signal.aborted) throw new Finished(130);
    if (tuned.some(({ winner }) => winner === null)) throw new Finished(1);
  } finally {
    process.removeListener("SIGINT", interrupt);
    await meter.close();
  }
}

/** Opening a device may take long, and needs packages that a mistake in `--sweep` does not. @throws MtacError MTA406, MTA407 */
function refuseUnknownSweeps(
  spec: CheckedSpec,
  pipeline: Pipeline,
  shapes: readonly CallShape[],
  flags: TuneFlags,
): void {
  const machines =
    flags.target === "webgpu" ? WEBGPU_VARIANTS.map(webgpuMachine) : CUDA_ARCHITECTURES.map(cudaMachine);
  const requests = shapes.slice(0, 1).flatMap((shape) => machines.map((machine) => ({ machine, shape })));
  const sweeps = sweepsOf(spec, pipeline, flags);
  checkSweeps(pipeline, requests, { schedule: flags.schedule, sweeps });
}

function sweepsOf(spec: CheckedSpec, pipeline: Pipeline, flags: TuneFlags): readonly KnobSweep[] {
  return flags.sweep ?? tuneOf(spec, pipeline)?.sweeps ?? [];
}

interface TuneJob {
  readonly spec: CheckedSpec;
  readonly pipeline: Pipeline;
  readonly shapes: readonly CallShape[];
  readonly meter: Meter;
  readonly store: TuningStore;
  readonly flags: TuneFlags;
  readonly output: Output;
  readonly signal: AbortSignal;
}

async function tuneShapes(job: TuneJob): Promise<readonly TunedShape[]> {
  const { shapes, flags, signal } = job;
  const tuned: TunedShape[] = [];
  const start = performance.now();
  for (const [index, shape] of shapes.entries()) {
    if (signal.aborted) break;
    // What is left of the budget is shared by the shapes that are left.
    const left = (flags.budget ?? Number.POSITIVE_INFINITY) - (performance.now() - start);
    tuned.push(await tuneShape(job, shape, Math.max(0, left / (shapes.length - index))));
  }
  return tuned;
}

async function tuneShape(job: TuneJob, shape: CallShape, budgetMs: number): Promise<TunedShape> {
  const { spec, pipeline, meter, store, flags, output, signal } = job;
  const { target, machine } = meter;
  const candidates = tuneCandidates(
    pipeline,
    { machine, shape },
    {
      schedule: flags.schedule,
      sweeps: sweepsOf(spec, pipeline, flags),
      most: flags.candidates ?? deviceFacts(target).candidates,
      shard: flags.shard,
    },
  );
  const key: TuningKey = {
    mtac: packageVersion(),
    spec: specHash(pipeline),
    target,
    device: meter.identity,
    storage: storageOn(machine, pipeline),
    bucket: bucketOf(shape),
  };
  const { records, ignored } = store.read();
  noteIgnored(store.file, ignored, output);
  const line = progressLine(process.stderr, output.noteStyle);
  const title = shapeTitle(shape);
  const found: TuningRecord[] = [];
  const result = await runSweep({
    meter,
    pipeline,
    shape,
    candidates: candidates.map((candidate, index) => trialCandidate(candidate, index === 0)),
    key,
    known: flags.again === true ? [] : records,
    sweep: randomUUID(),
    seed: flags.seed,
    budgetMs,
    signal,
    record: (record) => {
      store.append(record);
      found.push(record);
    },
    onProgress: (progress) => line.show(progressState(title, progress, budgetMs, meter)),
  }).finally(() => line.clear());
  for (const { candidate, reason, message } of result.rejected)
    output.note(
      `${output.noteStyle.yellow("rejected")} (${reason}) ${describeCandidate(candidate.identity)}: ${message.split("\n")[0]}`,
    );
  const all = [...records, ...found];
  const winner = winnerOf(all, key);
  return { shape, key, result, winner, speedOverFirst: winner === null ? null : speedOverFirst(all, winner) };
}

function tuneOf(spec: CheckedSpec, { name }: Pipeline): CheckedSpec["tunes"][number] | undefined {
  return spec.tunes.find(({ attention }) => attention === name);
}

/** Every batch size with every length. */
function shapesOf(spec: CheckedSpec, pipeline: Pipeline, flags: TuneFlags): readonly CallShape[] {
  const block = tuneOf(spec, pipeline);
  const some = (
    given: readonly number[] | undefined,
    own: readonly number[] | undefined,
    fallback: readonly number[],
  ) => given ?? (own === undefined || own.length === 0 ? fallback : own);
  const batches = some(flags.batch, block?.batch, [1]);
  const lengths = some(flags.lengths, block?.lengths, DEFAULT_LENGTHS);
  return batches.flatMap((B) => lengths.map((length) => ({ B, Lq: length, Lk: length, R: 0 })));
}

function shapeTitle({ B, Lq }: CallShape): string {
  return B === 1 ? `L ${Lq}` : `B ${B} L ${Lq}`;
}

function progressState(
  before: string,
  { done, total, elapsedMs, alive, best }: SweepProgress,
  budgetMs: number,
  meter: Meter,
): Parameters<ReturnType<typeof progressLine>["show"]>[0] {
  const left = Math.min(budgetMs - elapsedMs, (elapsedMs / Math.max(1, done)) * (total - done));
  const leader =
    best === null
      ? ""
      : `, best ${formatTime(best.time, meter.unit)}: ${describeCandidate(best.candidate.identity)}`;
  return {
    share: Math.min(1, Math.max(done / total, elapsedMs / budgetMs)),
    before,
    after: `${formatClock(left)} left, ${plural(alive, "candidate")}${leader}`,
  };
}

function formatTime(time: number, unit: Meter["unit"]): string {
  return unit === "ns" ? formatMilliseconds(time / 1e6) : `${formatCount(Math.round(time))} cycles`;
}

function formatShapes(tuned: readonly TunedShape[], { unit }: Meter, { style }: Output): string {
  const head = ["shape", "median", "quartiles", "speed", "candidates", "took", "winner"].map(style.dim);
  const rows = tuned.map(({ shape, result, winner, speedOverFirst: speed }) => {
    const { measured, remembered, rejected, ended, elapsedMs } = result;
    const counts = [
      `${measured} measured`,
      ...(remembered === 0 ? [] : [`${remembered} known`]),
      ...(rejected.length === 0 ? [] : [`${rejected.length} rejected`]),
      ...(ended === "finished" ? [] : [ended === "budget" ? "out of time" : "interrupted"]),
    ].join(", ");
    const time = winner?.measurement;
    return [
      shapeTitle(shape),
      time === undefined ? "" : formatTime(time.median, unit),
      time === undefined ? "" : style.dim(`${formatTime(time.low, unit)} … ${formatTime(time.high, unit)}`),
      speed === null ? "" : formatRatio(speed),
      counts,
      formatMilliseconds(elapsedMs),
      winner === null ? style.red("none") : style.green(describeCandidate(winner.candidate)),
    ];
  });
  return table([head, ...rows], ["left", "right", "left", "right", "left", "right", "left"]);
}

function shapeReport({ shape, key, result, winner, speedOverFirst: speed }: TunedShape): object {
  const { measured, remembered, runs, elapsedMs, ended, rejected } = result;
  return {
    shape,
    bucket: key.bucket,
    ended,
    elapsedMs,
    measured,
    remembered,
    runs,
    rejected: rejected.map(({ candidate, reason, code, message }) => ({
      candidate: candidate.identity,
      reason,
      code,
      message,
    })),
    winner: winner === null ? null : { candidate: winner.candidate, measurement: winner.measurement },
    speedOverFirst: speed,
  };
}
