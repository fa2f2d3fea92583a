import { performance } from "node:perf_hooks";
import type { CallShape, Pipeline } from "../../runtime/contract/index.ts";
import type { Meter, MeteredPlan, PlacedCall, Sample } from "../execution/meter.ts";
import { randomCall } from "../execution/random-call.ts";
import type { AttentionCall } from "../execution/request.ts";
import { CorrectnessCheck } from "./check.ts";
import { quartiles, type Rung, rungsOf, withoutDrift } from "./halving.ts";
import type { Measurement, Rejection, TuningKey, TuningRecord } from "./record.ts";
import { type Refusal, refusalOf } from "./rejection.ts";
import { layerFor, type TrialCandidate } from "./trial-candidates.ts";
import { finishedMeasurements } from "./winner.ts";

export interface SweepRequest<Placed extends PlacedCall> {
  readonly meter: Meter<Placed>;
  readonly pipeline: Pipeline;
  readonly shape: CallShape;
  /** The most promising first. */
  readonly candidates: readonly TrialCandidate[];
  /** How many the largest part has of a sweep that is shared out, if not so many: rounds are the same in all parts, so that they compare. */
  readonly largestShare?: number;
  readonly key: TuningKey;
  /** What is known already: a sweep that was cut off goes on where it was. */
  readonly known: readonly TuningRecord[];
  /** Names the sweep in its records. */
  readonly sweep: string;
  readonly seed: number;
  /** Milliseconds from the start; no new run is begun after them. */
  readonly budgetMs: number;
  readonly signal: AbortSignal;
  /** Takes each record as soon as it is finished. */
  readonly record: (record: TuningRecord) => void;
  readonly onProgress: (progress: SweepProgress) => void;
}

export interface SweepProgress {
  /** Runs so far, and all of those to come at most. */
  readonly done: number;
  readonly total: number;
  readonly elapsedMs: number;
  readonly alive: number;
  readonly best: { readonly candidate: TrialCandidate; readonly time: number } | null;
}

export interface SweepResult {
  readonly best: TrialCandidate | null;
  readonly measured: number;
  readonly rejected: readonly (Refusal & { readonly candidate: TrialCandidate })[];
  /** Measurements taken over from an earlier sweep. */
  readonly remembered: number;
  readonly runs: number;
  readonly elapsedMs: number;
  readonly ended: "finished" | "budget" | "interrupted";
}

/** A candidate whose first runs take so much longer than the best so far is not run again: one run, or the better of two. */
const HOPELESS = 4;
const HOPELESS_TWICE = 1.8;
/** A run is repeated until this much time has been measured, but only so often: clocks are coarse. */
const LEAST_NANOSECONDS = 2e6;
const MOST_REPEATS = 8;

/**
 * Measures candidates by successive halving: each is compiled, checked against the reference on a small call, run once to warm
 * up and then briefly; the better ones longer, in turns, so that drifts of the machine meet all alike.
 *
 * @throws what is no fault of a candidate: no reference, a full disk, a device that cannot be opened again
 */
export async function runSweep<Placed extends PlacedCall>(
  request: SweepRequest<Placed>,
): Promise<SweepResult> {
  return new Sweep(request).run();
}

interface Contender {
  readonly candidate: TrialCandidate;
  /** Of the round that is under way. */
  readonly samples: Sample[];
  /** The last round that it finished, and its time there. */
  rung: number;
  time: number;
}

/**
 * What a round ranks its candidates by, now or when a later sweep remembers it. Of a few runs one after the other the lesser says
 * more: whatever disturbs a run makes it longer.
 */
function rankingTime(rung: number, { low, median }: Pick<Measurement, "low" | "median">): number {
  return rung === 0 ? low : median;
}

/** Takes the drift out of a round's samples, of which all contenders have as many. */
function evenOut(contenders: readonly Contender[]): void {
  const [first] = contenders;
  const clocks = new Set(contenders.flatMap(({ samples }) => samples.map(({ clock }) => clock)));
  // Clocks that change their minds cannot be compared.
  if (first === undefined || clocks.size > 1) return;
  const turns = first.samples.map((_, turn) =>
    contenders.map(({ samples }) => samples[turn]?.time ?? Number.NaN),
  );
  for (const [turn, times] of withoutDrift(turns).entries())
    for (const [index, time] of times.entries()) {
      const samples = contenders[index]?.samples;
      const sample = samples?.[turn];
      if (samples !== undefined && sample !== undefined) samples[turn] = { ...sample, time };
    }
}

class Sweep<Placed extends PlacedCall> {
  readonly #request: SweepRequest<Placed>;
  readonly #call: AttentionCall;
  readonly #check: CorrectnessCheck<Placed>;
  readonly #start = performance.now();
  readonly #rejected: (Refusal & { readonly candidate: TrialCandidate })[] = [];
  readonly #finished: ReturnType<typeof finishedMeasurements>;
  readonly #opened = new Map<TrialCandidate, MeteredPlan<Placed>>();
  readonly #sound = new Set<TrialCandidate>();
  #placed: Placed | null = null;
  #runs = 0;
  #total = 0;
  #measured = 0;
  #remembered = 0;

  constructor(request: SweepRequest<Placed>) {
    this.#request = request;
    const { meter, pipeline, shape, seed, known, key } = request;
    const grad = key.direction === "backward";
    this.#call = randomCall(pipeline, shape, { seed, layer: layerFor(pipeline), grad });
    this.#check = new CorrectnessCheck(meter, pipeline, shape, seed, grad);
    this.#finished = finishedMeasurements(known, key);
  }

  async run(): Promise<SweepResult> {
    const { candidates, meter, largestShare = 0 } = this.#request;
    const rungs = rungsOf(Math.max(candidates.length, largestShare), meter.exact);
    this.#total = rungs.reduce(
      (sum, { runs }, index) =>
        sum + runs * (index === 0 ? candidates.length : (rungs[index - 1]?.keep ?? 0)),
      candidates.length,
    );
    let alive: Contender[] = candidates.map((candidate) => ({
      candidate,
      samples: [],
      rung: -1,
      time: Number.POSITIVE_INFINITY,
    }));
    try {
      for (const [index, rung] of rungs.entries()) {
        if (index > 0 && this.#ended() !== null) break;
        alive = index === 0 ? await this.#first(alive, rung) : await this.#round(alive, index, rung);
        alive.sort((a, b) => a.time - b.time);
        if (index + 1 < rungs.length) alive = this.#keep(alive, rung.keep);
      }
    } finally {
      for (const candidate of [...this.#opened.keys()]) this.#close(candidate);
      this.#placed?.release();
      this.#check.forget();
    }
    const best = alive.filter(({ time }) => Number.isFinite(time)).sort((a, b) => a.time - b.time)[0];
    return {
      best: best?.candidate ?? null,
      measured: this.#measured,
      rejected: this.#rejected,
      remembered: this.#remembered,
      runs: this.#runs,
      elapsedMs: performance.now() - this.#start,
      ended: this.#ended() ?? "finished",
    };
  }

  /** The best, and the planner's own choice in any case: how much a winner gains over it is what people ask. */
  #keep(ranked: readonly Contender[], count: number): Contender[] {
    const kept = ranked.filter(({ candidate }, index) => index < count || candidate.first);
    for (const contender of ranked) if (!kept.includes(contender)) this.#close(contender.candidate);
    return kept;
  }

  #ended(): "budget" | "interrupted" | null {
    if (this.#request.signal.aborted) return "interrupted";
    return performance.now() - this.#start >= this.#request.budgetMs ? "budget" : null;
  }

  /** Each candidate briefly, one after the other. */
  async #first(contenders: readonly Contender[], { runs }: Rung): Promise<Contender[]> {
    const alive: Contender[] = [];
    let best = Number.POSITIVE_INFINITY;
    for (const contender of contenders) {
      if (this.#ended() !== null) break;
      const { candidate } = contender;
      const rejection = this.#finished.get(candidate.identity.source)?.rejection ?? null;
      if (rejection !== null) {
        const { reason, code, message } = rejection;
        this.#rejected.push({ candidate, reason, code, message });
        continue;
      }
      if (!this.#remember(contender, 0)) {
        const limit = best;
        const fine = await this.#guarded(candidate, async (plan) => {
          if (!(await this.#hopeless(contender, plan, limit))) await this.#sample(contender, plan, runs);
          this.#finish(contender, 0);
        });
        if (!fine) continue;
      }
      best = Math.min(best, contender.time);
      alive.push(contender);
      this.#report(alive);
    }
    return alive;
  }

  /** Warms a plan up; if it is far from the best, keeps those runs as its samples. Where counts are exact there is no need. */
  async #hopeless({ samples }: Contender, plan: MeteredPlan<Placed>, best: number): Promise<boolean> {
    if (this.#request.meter.exact) return false;
    const warm = await this.#run(plan);
    if (warm.time <= HOPELESS_TWICE * best) return false;
    if (warm.time > HOPELESS * best) {
      samples.push(warm);
      return true;
    }
    const second = await this.#run(plan);
    if (second.time <= HOPELESS_TWICE * best) return false;
    samples.push(second);
    return true;
  }

  /** All that are left, in turns; a round that is cut off counts for none of them. */
  async #round(contenders: readonly Contender[], rung: number, { runs }: Rung): Promise<Contender[]> {
    let alive = [...contenders];
    const open = (): Contender[] => alive.filter((contender) => contender.rung < rung);
    for (const contender of alive) {
      if (!this.#remember(contender, rung)) contender.samples.length = 0;
    }
    for (let turn = 0; turn < runs; turn += 1) {
      for (const contender of open()) {
        if (this.#ended() !== null) return alive;
        const fine = await this.#guarded(contender.candidate, (plan) => this.#sample(contender, plan, 1));
        if (!fine) alive = alive.filter((each) => each !== contender);
        this.#report(alive);
      }
    }
    const finished = open();
    if (finished.every(({ samples }) => samples.length === runs)) evenOut(finished);
    for (const contender of finished) this.#finish(contender, rung);
    return alive;
  }

  /** Takes an earlier sweep's result for this round, where there is one. */
  #remember(contender: Contender, rung: number): boolean {
    const known = this.#finished.get(contender.candidate.identity.source);
    const measured = known?.rungs.get(rung);
    if (measured === undefined) return false;
    contender.time = rankingTime(rung, measured);
    contender.rung = rung;
    if (rung === 0) this.#remembered += 1;
    return true;
  }

  async #sample({ samples }: Contender, plan: MeteredPlan<Placed>, runs: number): Promise<void> {
    for (let run = 0; run < runs && this.#ended() === null; run += 1) {
      let sample = await this.#run(plan);
      // The least of several: what disturbs a run of microseconds only ever makes it longer.
      const repeats = this.#request.meter.exact
        ? 1
        : Math.min(MOST_REPEATS, Math.ceil(LEAST_NANOSECONDS / sample.time));
      for (let repeat = 1; repeat < repeats; repeat += 1) {
        const again = await this.#run(plan);
        if (again.time < sample.time) sample = again;
      }
      samples.push(sample);
    }
  }

  async #run(plan: MeteredPlan<Placed>): Promise<Sample> {
    this.#placed ??= this.#request.meter.place(this.#request.pipeline, this.#call);
    const sample = await plan.sample(this.#placed);
    this.#runs += 1;
    return sample;
  }

  /** The candidate's plan, compiled and found to be right; records why where it is not. False where the candidate is out. */
  async #guarded(
    candidate: TrialCandidate,
    action: (plan: MeteredPlan<Placed>) => Promise<void>,
  ): Promise<boolean> {
    try {
      let plan = this.#opened.get(candidate);
      if (plan === undefined) {
        plan = await this.#request.meter.open(candidate.plan, this.#call);
        this.#opened.set(candidate, plan);
      }
      if (!this.#sound.has(candidate)) {
        const fault = await this.#check.fault(plan);
        if (fault !== null) return this.#reject(candidate, fault);
        this.#sound.add(candidate);
      }
      await action(plan);
      return true;
    } catch (error) {
      const refusal = refusalOf(error);
      if (refusal === null) throw error;
      this.#reject(candidate, refusal);
      if (refusal.reason === "device-lost") await this.#restart();
      return false;
    }
  }

  #reject(candidate: TrialCandidate, refusal: Refusal): false {
    this.#rejected.push({ candidate, ...refusal });
    const { reason, code, message } = refusal;
    const rejection: Rejection = { ...this.#head(candidate), kind: "rejected", reason, code, message };
    this.#request.record(rejection);
    if (reason !== "device-lost") this.#close(candidate);
    return false;
  }

  /** Nothing of the lost device may be touched again. */
  async #restart(): Promise<void> {
    this.#opened.clear();
    this.#placed = null;
    this.#check.forget();
    await this.#request.meter.restart();
  }

  #finish(contender: Contender, rung: number): void {
    const { candidate, samples } = contender;
    const clock = samples[0]?.clock ?? "wall";
    const times = samples.filter((sample) => sample.clock === clock).map(({ time }) => time);
    if (times.length === 0) return;
    const { median, low, high } = quartiles(times);
    contender.time = rankingTime(rung, { low, median });
    contender.rung = rung;
    this.#measured += rung === 0 ? 1 : 0;
    const measurement: Measurement = {
      ...this.#head(candidate),
      kind: "measured",
      rung,
      clock,
      unit: this.#request.meter.unit,
      median,
      low,
      high,
      samples: times.length,
      ...(candidate.first ? { first: true as const } : {}),
    };
    this.#request.record(measurement);
  }

  #head({
    identity,
  }: TrialCandidate): Pick<Rejection, "format" | "key" | "candidate" | "sweep" | "shape" | "at"> {
    const { key, sweep, shape } = this.#request;
    return { format: 1, key, candidate: identity, sweep, shape, at: new Date().toISOString() };
  }

  #close(candidate: TrialCandidate): void {
    this.#opened.get(candidate)?.release();
    this.#opened.delete(candidate);
  }

  #report(alive: readonly Contender[]): void {
    const best = alive.reduce<Contender | null>(
      (least, each) => (least === null || each.time < least.time ? each : least),
      null,
    );
    this.#request.onProgress({
      done: this.#runs,
      total: Math.max(this.#runs, this.#total),
      elapsedMs: performance.now() - this.#start,
      alive: alive.length,
      best:
        best === null || !Number.isFinite(best.time) ? null : { candidate: best.candidate, time: best.time },
    });
  }
}
