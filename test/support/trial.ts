import { type PlanOptions, type TargetLimits, WEBGPU_DEFAULT_LIMITS } from "../../compiler/plan/index.ts";
import type { Pipeline, Plan, Schedule } from "../../runtime/contract/index.ts";
import { type ReferenceResult, referenceForward } from "../../runtime/reference/index.ts";
import type { RandomCase } from "./arbitrary.ts";
import { relativeError } from "./errors.ts";
import { FORWARD_TOLERANCE, fittingPlans, type GpuResult, legalSchedules, runPlan } from "./gpu.ts";
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
}

export interface TrialOptions {
  /** Random legal candidates of each schedule beside the planner's first choice. */
  readonly candidates: number;
}

export interface Trials {
  readonly trials: readonly Trial[];
  /** Schedules that no candidate computes within the limits drawn. */
  readonly unfit: readonly { readonly schedule: Schedule; readonly reason: string }[];
}

/** Now and then, what short sequences never need: halos between strips, small dispatches. */
function drawOptions(schedule: Schedule, random: Random): PlanOptions {
  if (schedule === "staged")
    return random.chance(0.6)
      ? { stripRows: random.integer(1, 32), stripBytes: 2 ** random.integer(8, 22) }
      : {};
  return random.chance(0.4) ? { dispatchBudget: 2 ** random.integer(4, 18) } : {};
}

/**
 * What to run for a random case: of every legal schedule the plan that the planner would choose, and some random others.
 * Limits (16 KiB or all that the device has), strides and the sizes of strips and dispatches follow from the case's seed.
 */
export function trialsOf(drawn: RandomCase, device: TargetLimits, options: TrialOptions): Trials {
  const random = new Random(drawn.seed ^ 0x7121a1);
  const trials: Trial[] = [];
  const unfit: Trials["unfit"][number][] = [];
  const small = random.chance(0.3);
  const limits = small ? { ...WEBGPU_DEFAULT_LIMITS, features: device.features } : device;
  const size = `${limits.workgroupBytes / 1024} KiB`;
  for (const schedule of legalSchedules(drawn.pipeline)) {
    const fitting = fittingPlans(drawn.pipeline, limits, drawn.shape, schedule);
    if ("reason" in fitting) {
      unfit.push({ schedule, reason: `${size}: ${fitting.reason}` });
      continue;
    }
    const scatter = (): number | null => (random.chance(0.5) ? random.integer(1, 2 ** 31 - 1) : null);
    const best = fitting.plan(0);
    trials.push({ drawn, plan: best, origin: `best within ${size}`, scatter: scatter() });
    for (let index = 0; index < options.candidates; index += 1) {
      const options = drawOptions(schedule, random);
      const forced = fittingPlans(drawn.pipeline, limits, drawn.shape, schedule, options);
      if ("reason" in forced) throw new Error(`${JSON.stringify(options)}: ${forced.reason}`);
      const plan = forced.plan(random.integer(0, forced.count - 1));
      const origin = `random within ${size}, ${JSON.stringify(options)}`;
      trials.push({ drawn, plan, origin, scatter: scatter() });
    }
  }
  return { trials, unfit };
}

/** Why results lie outside the tolerance of `semantics.md` times `factor`; null where they do not. */
export function disagreement(
  pipeline: Pipeline,
  result: Pick<GpuResult, "o" | "lse">,
  expected: Pick<ReferenceResult, "o" | "lse">,
  factor = 1,
): string | null {
  const problems: string[] = [];
  const compare = (name: string, error: number, bound: number): void => {
    // Not `>`: an error that is NaN is no agreement.
    if (!(error <= bound * factor))
      problems.push(`${name}: relative error ${error}, at most ${bound * factor}`);
  };
  compare("o", relativeError(result.o, expected.o.data), FORWARD_TOLERANCE[pipeline.storage]);
  if ((result.lse === null) !== (expected.lse === null)) problems.push("lse is there on one side only");
  // lse is written as f32 whatever the storage.
  if (result.lse !== null && expected.lse !== null)
    compare("lse", relativeError(result.lse, expected.lse.data), FORWARD_TOLERANCE.f32);
  return problems.length === 0 ? null : problems.join("; ");
}

/** Runs a trial; null where it agrees with the reference, else the whole story: what, of which spec, how to repeat. */
export async function runTrial(
  device: GPUDevice,
  trial: Trial,
  expected: ReferenceResult = referenceForward(
    trial.drawn.pipeline,
    trial.drawn.parameters,
    trial.drawn.inputs,
  ),
): Promise<string | null> {
  const { drawn, plan, scatter } = trial;
  const { pipeline, parameters, inputs } = drawn;
  let problem: string | null;
  try {
    const options = scatter === null ? {} : { scatter: new Random(scatter) };
    const result = await runPlan(device, plan, parameters, inputs, options);
    problem = disagreement(pipeline, result, expected);
  } catch (error) {
    problem = error instanceof Error ? error.message : String(error);
  }
  return problem === null ? null : `${problem}\n${describeTrial(trial)}`;
}

function describeTrial({ drawn, plan, origin, scatter }: Trial): string {
  const { attention, shape, layer, seed, inputs } = drawn;
  const positions = inputs.positions === undefined ? null : [...inputs.positions.data];
  return [
    `${plan.schedule} (${origin}), ${plan.storage}, knobs ${JSON.stringify(plan.knobs)}`,
    `call ${JSON.stringify({ ...shape, layer, positions })}, case seed ${seed}, strides seed ${scatter}`,
    describeAttention(attention),
  ].join("\n");
}
