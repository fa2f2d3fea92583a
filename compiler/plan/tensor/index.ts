import type { Pipeline, Plan, Schedule } from "../../../runtime/contract/index.ts";
import type { CudaArchitecture } from "../architectures.ts";
import { affordable, type Candidate, dropped, legal, unexplored } from "../candidate.ts";
import type { Fitted } from "../fit.ts";
import { graphOf } from "../graph.ts";

import type { PlanRequest } from "../machine.ts";
import type { OptionName } from "../options.ts";
import { predict } from "../predict.ts";
import { STAGED_OPTIONS } from "../schedule/staged.ts";
import type { TensorChoice } from "./define.ts";
import { foldedKnobNames, foldedMenu, foldedTiles, tensorFolded } from "./folded.ts";
import { scoresTile, tensorSinglePass, tileKnobNames } from "./single-pass.ts";
import { stagedTensorKnobNames, tensorStaged } from "./staged.ts";
import { tensorIllegal } from "./support.ts";
import { type TileRequest, tileMenu } from "./tile.ts";
import { tensorTwoPass, twoPassTiles } from "./two-pass.ts";
import { tensorWork } from "./work.ts";

/** The options that change the plans of a schedule on tensor cores. */
export function tensorOptions(schedule: Schedule): readonly OptionName[] {
  return { single_pass: ["splits"] as const, two_pass: [], staged: STAGED_OPTIONS }[schedule];
}

/** Candidates of one schedule whose products run on tensor cores. */
export function tensorCandidates(pipeline: Pipeline, request: PlanRequest, schedule: Schedule): Candidate[] {
  const { architecture } = request.machine;
  if (architecture === null) return [];
  const illegal = tensorIllegal(pipeline);
  if (illegal !== null) return [dropped(schedule, { lowering: "tensor" }, illegal)];
  switch (schedule) {
    case "single_pass":
      return singlePassCandidates(pipeline, request);
    case "two_pass":
      return twoPassCandidates(pipeline, request, architecture);
    case "staged":
      return stagedCandidates(pipeline, request, architecture);
  }
}

/** A candidate of a schedule with given knobs, or why it was dropped. */
function candidateOf(
  pipeline: Pipeline,
  request: PlanRequest,
  schedule: Schedule,
  knobs: Plan["knobs"],
  fitted: Fitted<TensorChoice>,
): Candidate {
  if (!fitted.fits) return dropped(schedule, knobs, fitted.reason);
  const { kernels, plan } = fitted.value;
  const prediction = predict(pipeline, request, tensorWork(pipeline, request.shape, kernels));
  return legal(schedule, knobs, prediction, () => plan(prediction.cost));
}

function singlePassCandidates(pipeline: Pipeline, request: PlanRequest): Candidate[] {
  const { architecture } = request.machine;
  if (architecture === null || pipeline.weights.length > 0) return [];
  const tile = scoresTile(pipeline, "attention", "hide");
  if (!tile.fits) return [dropped("single_pass", { lowering: "tensor" }, tile.reason)];
  return [
    ...foldedCandidates(pipeline, request, architecture, tile.value),
    ...tileMenu(tile.value).map((knobs) => {
      const names = tileKnobNames(knobs, tile.value.conv !== null);
      const fitted = tensorSinglePass(pipeline, request, architecture, tile.value, knobs);
      return candidateOf(pipeline, request, "single_pass", names, fitted);
    }),
  ];
}

function foldedCandidates(
  pipeline: Pipeline,
  request: PlanRequest,
  architecture: CudaArchitecture,
  tile: TileRequest,
): Candidate[] {
  if (tile.conv === null) return [];
  const tiles = foldedTiles(pipeline, tile);
  if (!tiles.fits) return [dropped("single_pass", { lowering: "folded" }, tiles.reason)];
  return foldedMenu(tiles.value).map((knobs) => {
    const names = foldedKnobNames(knobs);
    const fitted = tensorFolded(pipeline, request, architecture, tiles.value, knobs);
    return candidateOf(pipeline, request, "single_pass", names, fitted);
  });
}

function twoPassCandidates(
  pipeline: Pipeline,
  request: PlanRequest,
  architecture: CudaArchitecture,
): Candidate[] {
  const tiles = twoPassTiles(pipeline);
  if (!tiles.fits) return [dropped("two_pass", { lowering: "tensor" }, tiles.reason)];
  return tileMenu(tiles.value.apply).map((knobs) => {
    const names = tileKnobNames(knobs, true);
    const fitted = tensorTwoPass(pipeline, request, architecture, tiles.value, knobs);
    return candidateOf(pipeline, request, "two_pass", names, fitted);
  });
}

function stagedCandidates(
  pipeline: Pipeline,
  request: PlanRequest,
  architecture: CudaArchitecture,
): Candidate[] {
  const conv = [...pipeline.scores, ...pipeline.weights].find((stage) => stage.kind === "conv");
  const menu = [1, 2].flatMap((rowBlocks) =>
    [64, 32].flatMap((tileK) =>
      (conv === undefined ? (["registers"] as const) : (["registers", "shared"] as const)).flatMap((taps) =>
        [1, 2].map((productRowBlocks) => ({
          tile: { rowBlocks, tileK, taps, queriesInRegisters: false, precision: "f16" as const },
          productRowBlocks,
        })),
      ),
    ),
  );
  const kernels = graphOf(pipeline).ops.length;
  const { taken, left } = affordable(menu, kernels);
  return [
    ...taken.map((knobs) => {
      const names = stagedTensorKnobNames(pipeline, knobs);
      const fitted = tensorStaged(pipeline, request, architecture, knobs);
      return candidateOf(pipeline, request, "staged", names, fitted);
    }),
    ...left.map((knobs) => unexplored("staged", stagedTensorKnobNames(pipeline, knobs), kernels)),
  ];
}
