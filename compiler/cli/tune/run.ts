import type { Meter } from "../../execution/meter.ts";
import { refuseOverlap } from "../../files/overlap.ts";
import { resolve } from "../../ir/index.ts";
import { formatCount, formatMilliseconds, formatRatio, plural } from "../../report/units.ts";
import { computingTarget, openMeter } from "../../targets/index.ts";
import { type Output, openOutput } from "../../terminal/output.ts";
import { formatClock, type ProgressLine, type ProgressState, progressLine } from "../../terminal/progress.ts";
import { table } from "../../terminal/style.ts";
import { shareOf } from "../../tune/share.ts";
import { openStore, type TuningStore } from "../../tune/store.ts";
import type { SweepProgress } from "../../tune/sweep.ts";
import { describeCandidate } from "../../tune/trial-candidates.ts";
import {
  passesToTune,
  refuseUnknownSweeps,
  shapesToTune,
  type TunedPass,
  type TunedShape,
  type TuneJob,
  tuneShapes,
} from "../../tune/tune-shapes.ts";
import { notTunable } from "../errors.ts";
import { Finished } from "../failure.ts";
import { checkArchitecture } from "../flags.ts";
import { chooseAttention } from "../specs/attention-choice.ts";
import { readSpec } from "../specs/spec-file.ts";
import type { TuneFlags } from "./command.ts";
import { noteIgnored } from "./selection.ts";

/** `mtac tune SPEC`: measures the plans that could win, and stores what it finds. */
export async function run(file: string | undefined, flags: TuneFlags): Promise<void> {
  // A word that is none of the subcommands is no spec either: specs end in .mta or .ts.
  if (file === undefined || !/\.(mta|[cm]?ts)$/.test(file)) throw notTunable(file ?? "");
  const target = flags.target ?? (await computingTarget());
  const output = openOutput(flags);
  checkArchitecture({ ...flags, target });
  const share = shareOf(flags, process.env);
  const store = openStore(flags.store);
  refuseOverlap([{ name: "`--store`", path: store.file }], [{ name: "the spec", path: file }]);
  store.check();
  const spec = await readSpec(file, output);
  const pipeline = resolve(chooseAttention(spec, flags).attention, file);
  const shapes = shapesToTune(spec, pipeline, flags);
  refuseUnknownSweeps(spec, pipeline, target, flags);
  const interruption = new AbortController();
  const interrupt = (): void => interruption.abort();
  process.once("SIGINT", interrupt);
  const meter = await openMeter(target, { architecture: flags.arch });
  const line = progressLine(process.stderr, output.noteStyle);
  try {
    if (share !== null)
      output.note(`share ${share.index} of ${share.count} of the candidates (${share.from})`);
    const passes = flags.grad === true ? `, ${passesToTune(shapes, flags).length} passes` : "";
    output.note(
      `tuning ${output.noteStyle.bold(pipeline.name)} on ${meter.description}: ${plural(shapes.length, "shape")}${passes}, results in ${store.file}`,
    );
    const tuned = await tuneShapes({
      spec,
      pipeline,
      shapes,
      meter,
      store,
      wishes: share === null ? flags : { ...flags, shard: share },
      signal: interruption.signal,
      ...listener(line, meter, store, output),
    }).finally(() => line.clear());
    output.text(formatShapes(tuned, meter, output));
    output.result({
      attention: pipeline.name,
      target,
      device: meter.identity,
      store: store.file,
      share,
      interrupted: interruption.signal.aborted,
      shapes: tuned.map(shapeReport),
    });
    if (interruption.signal.aborted) throw new Finished(130);
    if (tuned.some(({ winner, candidates }) => winner === null && candidates > 0)) throw new Finished(1);
  } finally {
    process.removeListener("SIGINT", interrupt);
    await meter.close();
  }
}

/** What people see while shapes are tuned. */
function listener(
  line: ProgressLine,
  meter: Meter,
  store: TuningStore,
  output: Output,
): Pick<TuneJob, "onIgnored" | "onProgress" | "onTuned"> {
  return {
    onIgnored: (ignored) => noteIgnored(store.file, ignored, output),
    onProgress: (pass, progress, budgetMs) => line.show(progressState(pass, progress, budgetMs, meter)),
    onTuned: ({ result: { rejected } }) => {
      line.clear();
      for (const { candidate, reason, message } of rejected)
        output.note(
          `${output.noteStyle.yellow("rejected")} (${reason}) ${describeCandidate(candidate.identity)}: ${message.split("\n")[0]}`,
        );
    },
  };
}

function titleOf({ shape: { B, Lq }, direction }: TunedPass): string {
  const shape = B === 1 ? `L ${Lq}` : `B ${B} L ${Lq}`;
  return direction === undefined ? shape : `${shape} ${direction}`;
}

function progressState(
  pass: TunedPass,
  { done, total, elapsedMs, alive, best }: SweepProgress,
  budgetMs: number,
  meter: Meter,
): ProgressState {
  const left = Math.min(budgetMs - elapsedMs, (elapsedMs / Math.max(1, done)) * (total - done));
  const leader =
    best === null
      ? ""
      : `, best ${formatTime(best.time, meter.unit)}: ${describeCandidate(best.candidate.identity)}`;
  return {
    share: Math.min(1, Math.max(done / total, elapsedMs / budgetMs)),
    before: titleOf(pass),
    after: `${formatClock(left)} left, ${plural(alive, "candidate")}${leader}`,
  };
}

function formatTime(time: number, unit: Meter["unit"]): string {
  return unit === "ns" ? formatMilliseconds(time / 1e6) : `${formatCount(Math.round(time))} cycles`;
}

function formatShapes(tuned: readonly TunedShape[], { unit }: Meter, { style }: Output): string {
  const head = ["shape", "median", "quartiles", "speed", "candidates", "took", "winner"].map(style.dim);
  const rows = tuned.map(({ shape, key, result, candidates, winner, speedOverFirst: speed }) => {
    const { measured, remembered, rejected, ended, elapsedMs } = result;
    const counts = [
      `${measured} measured`,
      ...(remembered === 0 ? [] : [`${remembered} known`]),
      ...(rejected.length === 0 ? [] : [`${rejected.length} rejected`]),
      ...(ended === "finished" ? [] : [ended === "budget" ? "out of time" : "interrupted"]),
    ].join(", ");
    const time = winner?.measurement;
    return [
      titleOf({ shape, direction: key.direction }),
      time === undefined ? "" : formatTime(time.median, unit),
      time === undefined ? "" : style.dim(`${formatTime(time.low, unit)} … ${formatTime(time.high, unit)}`),
      speed === null ? "" : formatRatio(speed),
      candidates === 0 ? "none in this share" : counts,
      formatMilliseconds(elapsedMs),
      winner === null
        ? candidates === 0
          ? ""
          : style.red("none")
        : style.green(describeCandidate(winner.candidate)),
    ];
  });
  return table([head, ...rows], ["left", "right", "left", "right", "left", "right", "left"]);
}

function shapeReport({ shape, key, result, winner, speedOverFirst: speed }: TunedShape): object {
  const { measured, remembered, runs, elapsedMs, ended, rejected } = result;
  return {
    shape,
    direction: key.direction ?? "forward",
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
