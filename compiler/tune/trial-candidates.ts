import { type Pipeline, type Plan, usesLayer } from "../../runtime/contract/index.ts";
import { emitKernels } from "../emit/index.ts";
import type { Candidate } from "../plan/index.ts";
import { sourceHash, type TunedCandidate } from "./record.ts";

/** A candidate as it is measured. */
export interface TrialCandidate {
  readonly identity: TunedCandidate;
  readonly plan: Plan;
  /** Time that the cost model predicts: comparable between candidates only. */
  readonly predicted: number;
  /** The planner's own choice. */
  readonly first: boolean;
}

/** Emits a candidate's kernels and names it. */
export function trialCandidate(candidate: Candidate, first: boolean): TrialCandidate {
  const { plan, cost, schedule, knobs } = candidate;
  if (plan === null || cost === null) throw new RangeError("a dropped candidate cannot be measured");
  const identity = { schedule, knobs, source: sourceHash(plan, emitKernels(plan)) };
  return { identity, plan, predicted: cost.time, first };
}

/** `staged, tile_q 64, …`: a candidate for people. */
export function describeCandidate({ schedule, knobs }: Pick<TunedCandidate, "schedule" | "knobs">): string {
  return [schedule, ...Object.entries(knobs).map(([name, value]) => `${name} ${value}`)].join(", ");
}

/** Layers that the pipeline's results depend on are measured as the first one: it makes no difference to the time. */
export function layerFor(pipeline: Pipeline): number | undefined {
  return usesLayer(pipeline) ? 0 : undefined;
}
