import {
  type Cost,
  type Expression,
  type Pipeline,
  type Plan,
  type TensorTileProgram,
  totalReach,
} from "../../../runtime/contract/index.ts";
import type { CudaArchitecture } from "../architectures.ts";
import { batchRounds } from "../batch-rounds.ts";
import { doesNotFit, type Fitted } from "../fit.ts";
import { graphOf } from "../graph.ts";
import { statisticsBuffer } from "../layout.ts";

import type { PlanRequest } from "../machine.ts";
import { defineTensorPlan, type TensorChoice, tensorKernel } from "./define.ts";

import { tileKnobNames } from "./single-pass.ts";
import { tileRows } from "./support.ts";
import { fitTile, type TileKnobs, type TileRequest } from "./tile.ts";

/** What the two kernels of `two_pass` compute; or why one tile of one head does not suffice. */
export function twoPassTiles(
  pipeline: Pipeline,
): Fitted<{ readonly statistics: TileRequest; readonly apply: TileRequest }> {
  const { dot, scores, weights } = graphOf(pipeline);
  const [before] = scores;
  if (before !== undefined)
    return doesNotFit(
      `pass 2 keeps one tile, and ${before.stage.name} would need one of scores beside that of weights`,
    );
  const [conv, second] = weights;
  if (conv === undefined) return doesNotFit("without stages after the softmax one pass does");
  if (second !== undefined)
    return doesNotFit(`pass 2 keeps one tile, and ${second.stage.name} follows ${conv.stage.name}`);
  if (conv.kind === "mix")
    return doesNotFit(`${conv.stage.name} mixes heads, which blocks of one head cannot`);
  if (conv.stage.across > 1)
    return doesNotFit(`${conv.stage.name} reads ${conv.stage.across} heads, and a block holds one`);
  return {
    fits: true,
    value: {
      statistics: {
        source: "dot",
        sink: "statistics",
        conv: null,
        folded: null,
        keys: "all",
        before: { pointwise: [], mask: "zero" },
        finish: { pointwise: dot.pointwise, mask: "hide" },
        chunk: 0,
      },
      apply: {
        source: "dot",
        sink: "product",
        conv,
        folded: null,
        keys: "all",
        before: { pointwise: dot.pointwise, mask: "normalize" },
        finish: { pointwise: [], mask: "zero" },
        chunk: 0,
      },
    },
  };
}

/** Statistics of all rows first, then scores again: normalised, convolved, times values. */
export function tensorTwoPass(
  pipeline: Pipeline,
  request: PlanRequest,
  architecture: CudaArchitecture,
  tiles: { readonly statistics: TileRequest; readonly apply: TileRequest },
  knobs: TileKnobs,
): Fitted<TensorChoice> {
  const first = fitTile(pipeline, architecture, tiles.statistics, { ...knobs, taps: "registers" });
  if (!first.fits) return doesNotFit(`pass 1: ${first.reason}`);
  const second = fitTile(pipeline, architecture, tiles.apply, knobs);
  if (!second.fits) return doesNotFit(`pass 2: ${second.reason}`);
  const kernels = [
    { name: "statistics", program: first.value, maps: null },
    { name: "apply", program: second.value, maps: null },
  ];
  const plan = (cost: Cost): Plan =>
    twoPassPlan(pipeline, request, architecture, knobs, [first.value, second.value], cost);
  return { fits: true, value: { kernels, plan } };
}

function twoPassPlan(
  pipeline: Pipeline,
  request: PlanRequest,
  architecture: CudaArchitecture,
  knobs: TileKnobs,
  [first, second]: readonly [TensorTileProgram, TensorTileProgram],
  cost: Cost,
): Plan {
  const history: Expression = "weight_history";
  const statistics = tensorKernel(pipeline, "statistics", first, {
    read: ["q", "q_history", "k", "parameters", "integers", "bias"],
    written: ["statistics", "lse"],
  });
  const apply = tensorKernel(pipeline, "apply", second, {
    read: ["q", "q_history", "k", "v", "statistics", "parameters", "integers", "bias"],
    written: ["o"],
  });
  const multiplyAdds: Expression = ["mul", "B", pipeline.heads, "Lq", "Lk", pipeline.headDim];
  return defineTensorPlan(pipeline, request, architecture, {
    schedule: "two_pass",
    knobs: tileKnobNames(knobs, true),
    // Rows of history whose softmax the weights' convolution reads.
    definitions: [{ name: history, value: ["min", "R", totalReach(pipeline.weights).past] }],
    workspace: [statisticsBuffer(pipeline, history)],
    kernels: [statistics, apply],
    steps: batchRounds((batches) => [
      {
        kind: "dispatch",
        kernel: statistics.name,
        grid: [["ceilDiv", ["add", "Lq", history], tileRows(first)], pipeline.heads, batches],
        launch: {
          batch: "batch",
          row_begin: ["sub", 0, history],
          row_end: "Lq",
          statistics_history: history,
        },
        multiplyAdds,
      },
      {
        kind: "dispatch",
        kernel: apply.name,
        grid: [["ceilDiv", "Lq", tileRows(second)], pipeline.heads, batches],
        launch: { batch: "batch", row_begin: 0, row_end: "Lq", statistics_history: history },
        multiplyAdds,
      },
    ]),
    cost,
  });
}
