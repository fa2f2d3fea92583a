import type { Float64Tensor } from "../../runtime/contract/index.ts";
import { MtacError } from "../../runtime/contract/index.ts";
import { relativeError } from "../execution/comparison.ts";
import type { Sample } from "../execution/meter.ts";
import { quartiles } from "../tune/halving.ts";
import { refusalOf } from "../tune/rejection.ts";
import type { Row, RowState, Spread } from "./report.ts";
import type { Runner } from "./runners.ts";

/** One that takes part, and what became of it. */
export interface Contestant {
  readonly name: string;
  readonly runner: Runner;
  /** How far each result may lie from the reference; null where results are not compared. */
  readonly boundOf: ((tensor: string) => number) | null;
  /** What its results are compared with, where that is not what all others' are. */
  readonly expected: TurnsRequest["expected"] | null;
  readonly samples: Sample[];
  state: RowState;
  reason: string | null;
  error: Row["error"];
}

export function contestant(
  name: string,
  runner: Runner,
  boundOf: Contestant["boundOf"],
  expected: Contestant["expected"] = null,
): Contestant {
  return { name, runner, boundOf, expected, samples: [], state: "measured", reason: null, error: null };
}

export interface TurnsRequest {
  readonly contestants: readonly Contestant[];
  /** What results are compared with; asked for once. */
  readonly expected: () => ReadonlyMap<string, Float64Tensor>;
  readonly rounds: number;
  /** One run tells all: then nothing is warmed up. */
  readonly exact: boolean;
  readonly signal: AbortSignal;
  /** Opens the device again after it was lost. */
  readonly restart: () => Promise<void>;
  readonly onTurn: (turn: TurnProgress) => void;
}

export interface TurnProgress {
  /** Runs so far, and all there will be. */
  readonly done: number;
  readonly total: number;
  /** Who runs now. */
  readonly name: string;
  readonly step: "checking" | "warming up" | "timing";
}

/**
 * Checks every contestant against the reference, warms all of them up, and then times them in turns, so that drifts of the machine meet all
 * alike: forwards in one round, backwards in the next. One whose results are wrong, or that fails, is out.
 *
 * @throws what is no fault of a contestant
 */
export async function takeTurns(request: TurnsRequest): Promise<void> {
  const { contestants, rounds, exact, signal, onTurn } = request;
  const warmed = contestants.filter(({ runner }) => !exact && !runner.warmsItself);
  const total = contestants.length * (1 + rounds) + warmed.length;
  let done = 0;
  const each = async (
    order: readonly Contestant[],
    step: TurnProgress["step"],
    action: (contestant: Contestant) => Promise<void>,
  ): Promise<void> => {
    for (const one of order) {
      if (signal.aborted) return;
      if (one.state === "measured") {
        onTurn({ done, total, name: one.name, step });
        await guarded(one, request, action);
      }
      done += 1;
    }
  };
  await each(contestants, "checking", (one) => check(one, one.expected ?? request.expected));
  const sample = async ({ runner, samples }: Contestant): Promise<void> =>
    void samples.push(await runner.sample());
  await each(warmed, "warming up", async ({ runner }) => void (await runner.sample()));
  for (let round = 0; round < rounds; round += 1)
    await each(round % 2 === 0 ? contestants : contestants.toReversed(), "timing", sample);
  for (const one of contestants)
    if (one.state === "measured" && one.samples.length === 0) {
      one.state = "interrupted";
      one.reason = "interrupted before its first run was timed";
    }
}

/** Whatever goes wrong in a contestant's run puts it out; a lost device is opened again. */
async function guarded(
  one: Contestant,
  { signal, restart }: TurnsRequest,
  action: (contestant: Contestant) => Promise<void>,
): Promise<void> {
  try {
    await action(one);
  } catch (error) {
    const refusal = refusalOf(error);
    // Peers get the interruption too: what they say then is nothing that they did wrong.
    if (signal.aborted && error instanceof MtacError) return;
    if (refusal === null && !isPeerTrouble(error)) throw error;
    one.state = refusal?.reason === "wrong" ? "wrong" : "failed";
    one.reason = error instanceof Error ? error.message : String(error);
    one.samples.length = 0;
    if (refusal?.reason === "device-lost") await restart();
  }
}

/** A peer that was opened and failed. */
function isPeerTrouble(error: unknown): boolean {
  return error instanceof MtacError && error.code === "MTA941";
}

async function check(one: Contestant, expected: TurnsRequest["expected"]): Promise<void> {
  if (one.boundOf === null) return;
  const results = await one.runner.results();
  for (const [tensor, reference] of expected()) {
    const result = results.get(tensor);
    // Peers give o only.
    if (result === undefined && tensor === "lse") continue;
    const error = result === undefined ? Number.POSITIVE_INFINITY : relativeError(result, reference);
    const bound = one.boundOf(tensor);
    if (one.error === null || error / bound > one.error.error / one.error.bound)
      one.error = { tensor, error, bound };
  }
  // Negated, so that NaN counts as wrong.
  if (one.error === null || one.error.error <= one.error.bound) return;
  one.state = "wrong";
  one.reason = `${one.error.tensor} lies ${one.error.error.toExponential(1)} from the reference, at most ${one.error.bound.toExponential(0)} is right`;
}

/** null for who has no time. */
export function spreadOf({ state, samples }: Contestant): Spread | null {
  const clock = samples[0]?.clock;
  if (state !== "measured" || clock === undefined) return null;
  // A device that now and then cannot tell the time: what another clock says is no sample of the same.
  const times = samples.filter((sample) => sample.clock === clock).map(({ time }) => time);
  return { ...quartiles(times), samples: times.length, clock };
}
