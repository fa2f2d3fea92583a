import type { Pipeline, Schedule } from "../../../runtime/contract/index.ts";
import { type Candidate, dropped, legal } from "../candidate.ts";
import type { PlanRequest } from "../limits.ts";
import { scoresTile, tensorSinglePass, tileKnobNames } from "./single-pass.ts";
import { tensorIllegal } from "./support.ts";
import { tileMenu } from "./tile.ts";

/** Candidates of one schedule whose products run on tensor cores. */
export function tensorCandidates(pipeline: Pipeline, request: PlanRequest, schedule: Schedule): Candidate[] {
  const { architecture } = request.limits;
  if (architecture === undefined) return [];
  const illegal = tensorIllegal(pipeline);
  if (illegal !== null) return [dropped(schedule, { lowering: "tensor" }, illegal)];
  switch (schedule) {
    case "single_pass":
      return singlePassCandidates(pipeline, request);
    case "two_pass":
    case "staged":
      return [];
  }
}

function singlePassCandidates(pipeline: Pipeline, request: PlanRequest): Candidate[] {
  const { architecture } = request.limits;
  if (architecture === undefined || pipeline.weights.length > 0) return [];
  const tile = scoresTile(pipeline, "attention", "hide");
  if (!tile.fits) return [dropped("single_pass", { lowering: "tensor" }, tile.reason)];
  return tileMenu(tile.value).map((knobs) => {
    const names = tileKnobNames(knobs, tile.value.conv !== null);
    const fitted = tensorSinglePass(pipeline, request, architecture, tile.value, knobs);
    return fitted.fits
      ? legal("single_pass", names, fitted.value.cost, () => fitted.value)
      : dropped("single_pass", names, fitted.reason);
  });
}
