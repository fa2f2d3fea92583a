import { type PlanOptions, planCandidates } from "../../compiler/plan/index.ts";
import type { CallShape, Pipeline, Plan, Schedule } from "../../runtime/contract/index.ts";
import { type ReferenceResult, referenceForward } from "../../runtime/reference/index.ts";
import type { RandomCase } from "../support/arbitrary.ts";
import { relativeError } from "../support/errors.ts";
import { FORWARD_TOLERANCE } from "../support/gpu.ts";
import { Random } from "../support/random.ts";
import { describeAttention } from "../support/spec-text.ts";
import {
  type CudaResult,
  emulatedDevice,
  machineFor,
  type PlanChoice,
  planOf,
  runCudaPlan,
} from "./harness.ts";

const WARP_ORDERS = ["forward", "reverse", "greedy"] as const;

interface TensorChoice extends PlanChoice {
  /** Plans of this lowering only. */
  readonly lowering?: string;
}

/** Plans of a schedule on tensor cores, the cheapest first. */
export function tensorPlans(
  pipeline: Pipeline,
  shape: CallShape,
  schedule: Schedule,
  { architecture = "sm_80", lowering, options = {} }: TensorChoice = {},
): readonly (() => Plan)[] {
  return planCandidates(pipeline, { machine: machineFor(architecture), shape, schedule, options })
    .filter(
      ({ reason, knobs }) =>
        reason === null &&
        knobs["lowering"] !== "direct" &&
        (lowering === undefined || knobs["lowering"] === lowering),
    )
    .map((candidate) => () => planOf(candidate));
}

/**
 * Why results lie outside the storage type's tolerance times `factor`; null where they do not. Scores are kept in f16 between
 * convolutions, so the log-sum-exp has the same tolerance as the results.
 */
export function outsideTolerance(
  pipeline: Pipeline,
  result: Pick<CudaResult, "o" | "lse">,
  expected: Pick<ReferenceResult, "o" | "lse">,
  factor = 1,
): string | null {
  const bound = FORWARD_TOLERANCE[pipeline.storage] * factor;
  const error = relativeError(result.o, expected.o.data);
  if (!(error <= bound)) return `o: relative error ${error}, at most ${bound}`;
  // Sparsemax has none.
  if (expected.lse === null) return result.lse === null ? null : "lse is there, and should not be";
  if (result.lse === null) return "lse is missing";
  const lse = relativeError(result.lse, expected.lse.data);
  return lse <= bound ? null : `lse: relative error ${lse}, at most ${bound}`;
}

/** Now and then, what short sequences never need: halos between strips, keys that several blocks share. */
function drawOptions(schedule: Schedule, random: Random): PlanOptions {
  if (schedule === "staged" && random.chance(0.6)) return { stripRows: random.integer(1, 20) };
  if (schedule === "single_pass" && random.chance(0.6)) return { splits: random.integer(1, 4) };
  return {};
}

/** Runs one random tensor-core plan of each schedule that has one; the schedules that ran. */
export async function checkTensorCase(drawn: RandomCase): Promise<readonly string[]> {
  const { pipeline, parameters, inputs, shape, seed } = drawn;
  const random = new Random(seed ^ 0x7e5042);
  const expected = referenceForward(pipeline, parameters, inputs);
  const ran: string[] = [];
  for (const schedule of ["single_pass", "two_pass", "staged"] as const) {
    const [any] = tensorPlans(pipeline, shape, schedule);
    if (any === undefined) continue;
    const options = drawOptions(schedule, random);
    const plans = tensorPlans(pipeline, shape, schedule, { options });
    const chosen = plans[random.chance(0.4) ? 0 : random.integer(0, Math.max(0, plans.length - 1))];
    if (chosen === undefined) throw new Error(`${schedule}: no plan with ${JSON.stringify(options)}`);
    const plan = chosen();
    const warpOrder = WARP_ORDERS[random.integer(0, 2)] ?? "forward";
    const scatter = random.chance(0.5) ? new Random(seed) : null;
    try {
      const device = await emulatedDevice({ warpOrder });
      const result = await runCudaPlan(device, plan, parameters, inputs, scatter);
      const problem = outsideTolerance(pipeline, result, expected);
      if (problem !== null) throw new Error(problem);
    } catch (cause) {
      const story = `${schedule} ${JSON.stringify({ ...plan.knobs, ...options })}, warps ${warpOrder}, ${scatter === null ? "contiguous" : "scattered"}`;
      const call = JSON.stringify({ ...shape, layer: drawn.layer, seed });
      throw new Error(
        `${cause instanceof Error ? cause.message : cause}\n${story}\ncall ${call}\n${describeAttention(drawn.attention)}`,
        { cause },
      );
    }
    ran.push(`${schedule} ${plan.storage}`);
  }
  return ran;
}
