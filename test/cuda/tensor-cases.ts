import { planCandidates } from "../../compiler/plan/index.ts";
import type { CallShape, Pipeline, Plan, Schedule } from "../../runtime/contract/index.ts";
import type { ReferenceResult } from "../../runtime/reference/index.ts";
import { disagreement } from "../support/trial.ts";
import { type CudaResult, machineFor, type PlanChoice, planOf } from "./harness.ts";

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
  return disagreement(pipeline, result, expected, factor, pipeline.storage);
}
