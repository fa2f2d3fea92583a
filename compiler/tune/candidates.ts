import { type Pipeline, type Schedule, withoutDropout } from "../../runtime/contract/index.ts";
import { suggest } from "../language/suggest.ts";
import { type Candidate, type PlanRequest, planCandidates } from "../plan/index.ts";
import { noCandidate, unknownKnob, unknownKnobValue } from "./errors.ts";

/** Values of one knob that a sweep is restricted to, as the spec's `tune` block or `--sweep` gives them. */
export interface KnobSweep {
  readonly knob: string;
  readonly values: readonly (number | string)[];
}

/** One of several parts of a sweep: machine `index` of `count`, from 1. */
export interface Shard {
  readonly index: number;
  readonly count: number;
}

export interface CandidateChoice {
  readonly schedule?: Schedule | undefined;
  readonly sweeps: readonly KnobSweep[];
  /** At most so many, the most promising by the cost model. */
  readonly most: number;
}

/** A candidate's knobs with its schedule, which can be swept as well. */
function knobsOf({ schedule, knobs }: Candidate): Readonly<Record<string, number | string>> {
  return { ...knobs, schedule };
}

/**
 * What a sweep may measure, the most promising first: what the planner lists, restricted to the knobs' wanted values. A
 * candidate that does not have a knob (another schedule's) is not restricted by it. Each schedule keeps its best few, so
 * that an error of the model between schedules does not hide one.
 *
 * @throws MtacError MTA406 (no such knob), MTA407 (no candidate has the value), MTA408 (nothing is left), MTA405
 */
export function tuneCandidates(
  pipeline: Pipeline,
  request: PlanRequest,
  { schedule, sweeps, most }: CandidateChoice,
): readonly Candidate[] {
  const all = planCandidates(
    withoutDropout(pipeline),
    schedule === undefined ? request : { ...request, schedule },
  );
  const legal = all.filter(({ reason }) => reason === null);
  if (legal.length === 0) throw noCandidate(pipeline.name, all[0]?.reason ?? "the planner lists none");
  for (const sweep of sweeps) checkSweep(sweep, all);
  const wanted = legal.filter((candidate) => {
    const knobs = knobsOf(candidate);
    return sweeps.every(({ knob, values }) => {
      const own = knobs[knob];
      return own === undefined || values.includes(own);
    });
  });
  if (wanted.length === 0) throw noCandidate(pipeline.name, "the swept values go together in none");
  return mostPromising(wanted, most);
}

/** What of a sweep's candidates one machine measures: promising ones and others, as each does. */
export function partOf<T>(candidates: readonly T[], { index, count }: Shard): readonly T[] {
  return candidates.filter((_, place) => place % count === index - 1);
}

/**
 * Checks sweeps before a device is opened: what some device has is let through, and checked again on the one that there is.
 *
 * @param requests One for each kind of device.
 * @throws MtacError MTA406, MTA407
 */
export function checkSweeps(
  pipeline: Pipeline,
  requests: readonly PlanRequest[],
  { sweeps }: Pick<CandidateChoice, "sweeps">,
): void {
  if (sweeps.length === 0) return;
  const all = requests.flatMap((request) => planCandidates(withoutDropout(pipeline), request));
  for (const sweep of sweeps) checkSweep(sweep, all);
}

/**
 * Sweeps as far as they are about some of the requests: of what both passes of an attention are swept over, one may have no such knob, or
 * none of its values.
 */
export function sweepsWithin(
  pipeline: Pipeline,
  requests: readonly PlanRequest[],
  sweeps: readonly KnobSweep[],
): readonly KnobSweep[] {
  if (sweeps.length === 0) return sweeps;
  const inference = withoutDropout(pipeline);
  const known = valuesOfKnobs(requests.flatMap((request) => planCandidates(inference, request)));
  return sweeps.flatMap(({ knob, values }) => {
    const own = values.filter((value) => known.get(knob)?.has(value) === true);
    return own.length === 0 ? [] : [{ knob, values: own }];
  });
}

/**
 * Sweeps without those whose knob none of a target's machines has, and another target's has: a spec says for each target what to sweep
 * there.
 *
 * @param requests One for each kind of device of the target, and of all other targets.
 */
export function sweepsFor(
  pipeline: Pipeline,
  sweeps: readonly KnobSweep[],
  requests: Record<"own" | "others", readonly PlanRequest[]>,
): readonly KnobSweep[] {
  if (sweeps.length === 0) return sweeps;
  const knownTo = (some: readonly PlanRequest[]) =>
    valuesOfKnobs(some.flatMap((request) => planCandidates(withoutDropout(pipeline), request)));
  const own = knownTo(requests.own);
  if (sweeps.every(({ knob }) => own.has(knob))) return sweeps;
  const others = knownTo(requests.others);
  return sweeps.filter(({ knob }) => own.has(knob) || !others.has(knob));
}

function valuesOfKnobs(candidates: readonly Candidate[]): ReadonlyMap<string, ReadonlySet<number | string>> {
  const known = new Map<string, Set<number | string>>();
  for (const candidate of candidates)
    for (const [name, value] of Object.entries(knobsOf(candidate)))
      known.set(name, (known.get(name) ?? new Set()).add(value));
  return known;
}

function checkSweep({ knob, values }: KnobSweep, candidates: readonly Candidate[]): void {
  const known = valuesOfKnobs(candidates);
  const possible = known.get(knob);
  const names = [...known.keys()].sort();
  if (possible === undefined) throw unknownKnob(knob, names, suggest(knob, names));
  for (const value of values) if (!possible.has(value)) throw unknownKnobValue(knob, value, [...possible]);
}

/** Candidates that each schedule has among the chosen ones, where it has so many. */
const OF_EACH_SCHEDULE = 4;

/** The best by rank, but some of each schedule; in the order of the ranks. */
function mostPromising(ranked: readonly Candidate[], most: number): readonly Candidate[] {
  const reserved = new Set<Candidate>();
  const counts = new Map<Schedule, number>();
  for (const candidate of ranked) {
    const count = counts.get(candidate.schedule) ?? 0;
    counts.set(candidate.schedule, count + 1);
    if (count < Math.min(OF_EACH_SCHEDULE, most / 4)) reserved.add(candidate);
  }
  for (const candidate of ranked) {
    if (reserved.size >= most) break;
    reserved.add(candidate);
  }
  return ranked.filter((candidate) => reserved.has(candidate)).slice(0, most);
}
