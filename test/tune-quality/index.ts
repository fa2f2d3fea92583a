/**
 * `npm run tune:quality`: how good the tuner's winners are. Over six specs and three lengths, on the best WebGPU device there is:
 * the tuner as `mtac tune` runs it, then an exhaustive sweep over every candidate that the planner lists, each on a fresh device;
 * then the two winners in turns, and the planner's own first choice with them. Not a test: a program with a report.
 *
 *   npm run tune:quality -- [--only pre] [--lengths 64,128] [--runs 4] [--pairs 15]
 */
import { parseArgs } from "node:util";
import type { Meter, PlacedCall } from "../../compiler/execution/meter.ts";
import { randomCall } from "../../compiler/execution/random-call.ts";
import { packageVersion } from "../../compiler/package.ts";
import { planCandidates } from "../../compiler/plan/index.ts";
import { openMeter } from "../../compiler/targets/index.ts";
import { tuneCandidates } from "../../compiler/tune/candidates.ts";
import { quartiles } from "../../compiler/tune/halving.ts";
import { bucketOf, specHash, type TuningRecord } from "../../compiler/tune/record.ts";
import { runSweep } from "../../compiler/tune/sweep.ts";
import {
  describeCandidate,
  type TrialCandidate,
  trialCandidate,
} from "../../compiler/tune/trial-candidates.ts";
import { winnerOf } from "../../compiler/tune/winner.ts";
import type { CallShape, Pipeline } from "../../runtime/contract/index.ts";
import { pipelineOf } from "../support/pipelines.ts";
import { QUALITY_LENGTHS, QUALITY_SPECS } from "./specs.ts";

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    lengths: { type: "string", default: QUALITY_LENGTHS.join(",") },
    runs: { type: "string", default: "4" },
    pairs: { type: "string", default: "15" },
  },
});
const runs = Number(values.runs);
const pairs = Number(values.pairs);

/** As `mtac tune` does. */
const TUNED_CANDIDATES = 20;
/** What is asked of the tuner. */
const WITHIN = 1.1;
const SHARE_OF_TIME = 0.25;
const FIRST_WITHIN = 1.3;

interface Found {
  readonly candidate: TrialCandidate;
  readonly seconds: number;
  readonly measured: number;
}

async function onFreshDevice<T>(action: (meter: Meter) => Promise<T>): Promise<T> {
  const meter = await openMeter("webgpu");
  try {
    return await action(meter);
  } finally {
    await meter.close();
  }
}

function tunerWinner(pipeline: Pipeline, shape: CallShape): Promise<Found> {
  return onFreshDevice(async (meter) => {
    const start = performance.now();
    const request = { machine: meter.machine, shape };
    const candidates = tuneCandidates(pipeline, request, { sweeps: [], most: TUNED_CANDIDATES }).map(
      (candidate, index) => trialCandidate(candidate, index === 0),
    );
    const key = {
      mtac: packageVersion(),
      spec: specHash(pipeline),
      target: "webgpu" as const,
      device: meter.identity,
      storage: meter.machine.storage(pipeline),
      bucket: bucketOf(shape),
    };
    const records: TuningRecord[] = [];
    const { measured } = await runSweep({
      meter,
      pipeline,
      shape,
      candidates,
      key,
      known: [],
      sweep: "quality",
      seed: 1,
      budgetMs: Number.POSITIVE_INFINITY,
      signal: new AbortController().signal,
      record: (record) => void records.push(record),
      onProgress: () => {},
    });
    const source = winnerOf(records, key)?.candidate.source;
    const candidate = candidates.find(({ identity }) => identity.source === source);
    if (candidate === undefined) throw new Error("the tuner found nothing");
    return { candidate, seconds: (performance.now() - start) / 1000, measured };
  });
}

/** Every candidate: compiled, run once to warm up, then some times; the least median wins. */
function exhaustiveWinner(pipeline: Pipeline, shape: CallShape): Promise<Found> {
  return onFreshDevice(async (meter) => {
    const start = performance.now();
    const call = randomCall(pipeline, shape, { seed: 1, layer: undefined, grad: false });
    const placed = meter.place(pipeline, call);
    let best: { candidate: TrialCandidate; time: number } | null = null;
    const candidates = planCandidates(pipeline, { machine: meter.machine, shape })
      .filter(({ reason }) => reason === null)
      .map((candidate, index) => trialCandidate(candidate, index === 0));
    for (const candidate of candidates) {
      const plan = await meter.open(candidate.plan, call);
      const times: number[] = [];
      for (let run = 0; run <= runs; run += 1) times.push((await plan.sample(placed)).time);
      plan.release();
      const time = quartiles(times.slice(1)).median;
      if (best === null || time < best.time) best = { candidate, time };
    }
    placed.release();
    if (best === null) throw new Error("there are no candidates");
    return {
      candidate: best.candidate,
      seconds: (performance.now() - start) / 1000,
      measured: candidates.length,
    };
  });
}

/** Medians of the ratios to the last of the candidates, all run in turns. */
function comparedToLast(
  pipeline: Pipeline,
  shape: CallShape,
  candidates: readonly TrialCandidate[],
): Promise<readonly number[]> {
  return onFreshDevice(async (meter) => {
    const call = randomCall(pipeline, shape, { seed: 2, layer: undefined, grad: false });
    const placed: PlacedCall = meter.place(pipeline, call);
    const plans = [];
    for (const { plan } of candidates) plans.push(await meter.open(plan, call));
    const ratios = candidates.map((): number[] => []);
    for (let pair = -1; pair < pairs; pair += 1) {
      const times: number[] = [];
      for (const plan of plans) times.push((await plan.sample(placed)).time);
      // The first turn warms up.
      if (pair < 0) continue;
      for (const [index, time] of times.entries()) ratios[index]?.push(time / (times.at(-1) ?? Number.NaN));
    }
    return ratios.map((each) => quartiles(each).median);
  });
}

const rows: { readonly toBest: number; readonly share: number; readonly firstToWinner: number }[] = [];
for (const [name, text] of Object.entries(QUALITY_SPECS)) {
  if (values.only !== undefined && values.only !== name) continue;
  for (const length of values.lengths.split(",").map(Number)) {
    const pipeline = pipelineOf(text, "a");
    const shape = { B: 1, Lq: length, Lk: length, R: 0 };
    const tuned = await tunerWinner(pipeline, shape);
    const best = await exhaustiveWinner(pipeline, shape);
    const first = await onFreshDevice(async (meter) => {
      const [candidate] = planCandidates(pipeline, { machine: meter.machine, shape });
      if (candidate === undefined) throw new Error("the planner lists nothing");
      return trialCandidate(candidate, true);
    });
    const same = tuned.candidate.identity.source === best.candidate.identity.source;
    const [toBest = Number.NaN] = same
      ? [1]
      : await comparedToLast(pipeline, shape, [tuned.candidate, best.candidate]);
    const [firstToWinner = Number.NaN] =
      first.identity.source === tuned.candidate.identity.source
        ? [1]
        : await comparedToLast(pipeline, shape, [first, tuned.candidate]);
    const share = tuned.seconds / best.seconds;
    rows.push({ toBest, share, firstToWinner });
    console.log(
      `${name.padEnd(9)} L ${String(length).padEnd(4)} winner ${toBest.toFixed(3)} × the best of ${best.measured}; ` +
        `${tuned.measured} measured in ${tuned.seconds.toFixed(1)} s, ${(100 * share).toFixed(0)} % of ${best.seconds.toFixed(1)} s; ` +
        `planner's first ${firstToWinner.toFixed(2)} × the winner\n` +
        `          winner ${describeCandidate(tuned.candidate.identity)}\n          best   ${describeCandidate(best.candidate.identity)}`,
    );
  }
}
const count = (wanted: (row: (typeof rows)[number]) => boolean): number => rows.filter(wanted).length;
const near = count(({ toBest, share }) => toBest <= WITHIN && share <= SHARE_OF_TIME);
const firstMedian = quartiles(rows.map(({ firstToWinner }) => firstToWinner)).median;
console.log(
  `\nwithin ${WITHIN} of the best: ${count(({ toBest }) => toBest <= WITHIN)} of ${rows.length}; in at most a quarter of the time: ${count(({ share }) => share <= SHARE_OF_TIME)}; both: ${near} (wanted: 15 of 18)\n` +
    `planner's first choice over the winner, median: ${firstMedian.toFixed(2)} (wanted: at most ${FIRST_WITHIN})`,
);
process.exitCode = near >= (15 / 18) * rows.length && firstMedian <= FIRST_WITHIN ? 0 : 1;
