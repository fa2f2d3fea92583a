import type { Pipeline, Plan, Schedule, StorageType } from "../../runtime/contract/index.ts";
import { type ReferenceResult, referenceForward } from "../../runtime/reference/index.ts";
import type { SuiteDevice } from "../suite/target.ts";
import type { RandomCase } from "./arbitrary.ts";
import { relativeError } from "./errors.ts";
import { FORWARD_TOLERANCE, type GpuResult, legalSchedules } from "./gpu.ts";
import { Random } from "./random.ts";
import { describeAttention } from "./spec-text.ts";

/** One plan to run for a random case. */
export interface Trial {
  readonly drawn: RandomCase;
  readonly plan: Plan;
  /** How the plan came about, for people. */
  readonly origin: string;
  /** Seed of random strides; null: contiguous tensors. */
  readonly scatter: number | null;
  /** Which order of threads the device takes, where it has several. */
  readonly order: number;
}

/** Which plans of each schedule are tried: the planner's first choice, and so many random others. */
export interface TrialOptions {
  readonly best: boolean;
  readonly candidates: number;
}

export interface Trials {
  readonly trials: readonly Trial[];
  /** Schedules that no candidate computes within the limits drawn. */
  readonly unfit: readonly { readonly schedule: Schedule; readonly reason: string }[];
}

/**
 * What to run for a random case in every legal schedule. Limits, strides and the sizes of strips and dispatches follow from the
 * case's seed.
 */
export function trialsOf(drawn: RandomCase, device: SuiteDevice, options: TrialOptions): Trials {
  const random = new Random(drawn.seed ^ 0x7121a1);
  const trials: Trial[] = [];
  const unfit: Trials["unfit"][number][] = [];
  const planner = device.drawPlanner(random);
  const add = (plan: Plan, origin: string): void => {
    const scatter = random.chance(0.5) ? random.integer(1, 2 ** 31 - 1) : null;
    trials.push({
      drawn,
      plan,
      origin: `${origin} within ${planner.name}`,
      scatter,
      order: random.integer(0, 5),
    });
  };
  for (const schedule of legalSchedules(drawn.pipeline, device)) {
    const fitting = planner.plans(drawn.pipeline, drawn.shape, schedule);
    if ("reason" in fitting) {
      unfit.push({ schedule, reason: `${planner.name}: ${fitting.reason}` });
      continue;
    }
    if (options.best) add(fitting.plan(0), "best");
    for (let index = 0; index < options.candidates; index += 1) {
      const forced = device.drawOptions(schedule, random);
      const others = planner.plans(drawn.pipeline, drawn.shape, schedule, forced);
      if ("reason" in others) throw new Error(`${JSON.stringify(forced)}: ${others.reason}`);
      add(
        others.plan(random.integer(0, others.count - 1)),
        `random, ${Object.keys(forced).join(" ") || "no options"},`,
      );
    }
  }
  return { trials, unfit };
}

/**
 * Why results lie outside the tolerance of `semantics.md` times `factor`; null where they do not.
 *
 * @param lse The type whose tolerance the log-sum-exp has: it is written as f32 whatever the storage, from scores that are f32, too.
 */
export function disagreement(
  pipeline: Pipeline,
  result: Pick<GpuResult, "o" | "lse">,
  expected: Pick<ReferenceResult, "o" | "lse">,
  factor = 1,
  lse: StorageType = "f32",
): string | null {
  const problems: string[] = [];
  const compare = (name: string, error: number, bound: number): void => {
    // Not `>`: an error that is NaN is no agreement.
    if (!(error <= bound * factor))
      problems.push(`${name}: relative error ${error}, at most ${bound * factor}`);
  };
  compare("o", relativeError(result.o, expected.o.data), FORWARD_TOLERANCE[pipeline.storage]);
  if ((result.lse === null) !== (expected.lse === null)) problems.push("lse is there on one side only");
  if (result.lse !== null && expected.lse !== null)
    compare("lse", logarithmError(result.lse, expected.lse.data), FORWARD_TOLERANCE[lse]);
  return problems.length === 0 ? null : problems.join("; ");
}

/**
 * The error of logarithms, relative to their norm or that of as many ones: one that is near 0 is the rest of larger terms, and is as exact as
 * the sum whose logarithm it is.
 */
function logarithmError(values: ArrayLike<number>, reference: ArrayLike<number>): number {
  const finite = Array.from(reference).filter(Number.isFinite);
  const size = Math.hypot(...finite);
  const error = relativeError(values, reference);
  return size === 0 ? error : (error * size) / Math.max(size, Math.sqrt(finite.length));
}

/** Runs a trial; null where it agrees with the reference, else the whole story: what, of which spec, how to repeat. */
export async function runTrial(
  device: SuiteDevice,
  trial: Trial,
  expected: ReferenceResult = referenceForward(
    trial.drawn.pipeline,
    trial.drawn.parameters,
    trial.drawn.inputs,
  ),
): Promise<string | null> {
  const { drawn, plan, scatter, order } = trial;
  const { pipeline, parameters, inputs } = drawn;
  let problem: string | null;
  try {
    const places = scatter === null ? null : new Random(scatter);
    const result = await device.run(plan, parameters, inputs, places, order);
    problem = device.problem(pipeline, result, expected);
  } catch (error) {
    problem = error instanceof Error ? error.message : String(error);
  }
  return problem === null ? null : `${problem}\n${describeTrial(trial)}`;
}

function describeTrial({ drawn, plan, origin, scatter, order }: Trial): string {
  const { attention, shape, layer, seed, inputs } = drawn;
  const positions = inputs.positions === undefined ? null : [...inputs.positions.data];
  return [
    `${plan.schedule} (${origin}), ${plan.storage}, knobs ${JSON.stringify(plan.knobs)}`,
    `call ${JSON.stringify({ ...shape, layer, positions })}, case seed ${seed}, strides seed ${scatter}, order ${order}`,
    describeAttention(attention),
  ].join("\n");
}
