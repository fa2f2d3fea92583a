import type {
  Expression,
  Finish,
  Pipeline,
  Plan,
  TensorCombineProgram,
  TensorTileProgram,
} from "../../../runtime/contract/index.ts";
import type { CudaArchitecture } from "../architectures.ts";
import type { Fitted } from "../fit.ts";
import { doesNotFit } from "../fit.ts";
import type { PlanRequest } from "../limits.ts";
import { tensorCost } from "./cost.ts";
import { defineTensorPlan, tensorKernel } from "./define.ts";
import { linearStages } from "./support.ts";
import { fitTile, type TileKnobs, type TileRequest } from "./tile.ts";

/** What one tile kernel computes of the scores' section, up to the softmax; or why it cannot. */
export function scoresTile(
  pipeline: Pipeline,
  sink: TensorTileProgram["sink"],
  finalMask: Finish["mask"],
): Fitted<TileRequest> {
  const { first, linear } = linearStages(pipeline.scores, "scores");
  const [conv, second] = linear;
  if (second !== undefined)
    return doesNotFit(
      `${second.stage.name} follows ${conv?.stage.name ?? "another stage"}: one pass keeps one tile of scores`,
    );
  if (conv !== undefined && conv.stage.kind === "mix")
    return doesNotFit(`${conv.stage.name} mixes heads, which blocks of one head cannot`);
  if (conv !== undefined && conv.stage.kind === "conv" && conv.stage.across > 1)
    return doesNotFit(`${conv.stage.name} reads ${conv.stage.across} heads, and a block holds one`);
  return {
    fits: true,
    value: {
      source: "dot",
      sink,
      conv: conv ?? null,
      before: { softcaps: conv === undefined ? [] : first, mask: "zero" },
      finish: { softcaps: conv === undefined ? first : conv.softcaps, mask: finalMask },
      chunk: 0,
    },
  };
}

/** Blocks that fill a large device twice over, and the fewest keys that one of them is worth. */
const SPLIT_BLOCKS = 256;
const SPLIT_KEYS = 256;
const COMBINE_WARPS = 4;

export function tileKnobNames(knobs: TileKnobs, conv: boolean): Plan["knobs"] {
  return {
    lowering: conv ? "toeplitz" : "tensor",
    tile_q: 64 * knobs.rowBlocks,
    tile_k: knobs.tileK,
    queries: knobs.queriesInRegisters ? "registers" : "shared",
    ...(conv ? { taps: knobs.taps, precision: knobs.precision } : {}),
  };
}

/** Flash attention with the scores' convolution between product and softmax. */
export function tensorSinglePass(
  pipeline: Pipeline,
  request: PlanRequest,
  architecture: CudaArchitecture,
  tile: TileRequest,
  knobs: TileKnobs,
): Fitted<Plan> {
  const fitted = fitTile(pipeline, architecture, tile, knobs);
  if (!fitted.fits) return fitted;
  const program = fitted.value;
  const kernel = tensorKernel(pipeline, "attention", program, {
    read: ["q", "q_history", "k", "v", "parameters", "integers", "bias"],
    written: ["o", "lse", "partial_values", "partial_sums"],
  });
  const combine: TensorCombineProgram = { kind: "tensor_combine", warps: COMBINE_WARPS };
  const combineKernel = tensorKernel(pipeline, "combine", combine, {
    read: ["partial_values", "partial_sums", "parameters"],
    written: ["o", "lse"],
  });
  const tileQ = program.warps * 16 * program.rowBlocks;
  const tiles: Expression = ["ceilDiv", "Lq", tileQ];
  // Keys are shared where one tile holds all rows: as widely as fills the device, but not too finely.
  const idle: Expression = ["floorDiv", SPLIT_BLOCKS, ["mul", "B", pipeline.heads]];
  const splits: Expression = [
    "select",
    ["max", 0, ["sub", "Lq", tileQ]],
    1,
    ["max", 1, ["min", idle, ["floorDiv", "Lk", SPLIT_KEYS]]],
  ];
  const shared: Expression = ["min", 1, ["sub", "splits", 1]];
  const parts: Expression = ["mul", shared, "B", pipeline.heads, "splits", "Lq"];
  return {
    fits: true,
    value: defineTensorPlan(pipeline, request, architecture, {
      schedule: "single_pass",
      knobs: tileKnobNames(knobs, program.conv !== null),
      definitions: [{ name: "splits", value: splits }],
      workspace: [
        { name: "partial_values", bytes: ["max", 16, ["mul", 4, pipeline.valueDim, parts]] },
        { name: "partial_sums", bytes: ["max", 16, ["mul", 8, parts]] },
      ],
      kernels: [kernel, combineKernel],
      steps: [
        {
          kind: "dispatch",
          kernel: kernel.name,
          grid: [["mul", tiles, "splits"], pipeline.heads, "B"],
          launch: { batch: 0, first_tile: 0, row_begin: 0, row_end: "Lq" },
          multiplyAdds: ["mul", "B", pipeline.heads, "Lq", "Lk", pipeline.headDim + pipeline.valueDim],
        },
        {
          kind: "dispatch",
          kernel: combineKernel.name,
          grid: [["mul", shared, ["ceilDiv", "Lq", COMBINE_WARPS]], pipeline.heads, "B"],
          launch: { batch: 0, first_tile: "splits", row_begin: 0, row_end: "Lq" },
          multiplyAdds: ["mul", parts, pipeline.valueDim],
        },
      ],
      cost: tensorCost(pipeline, architecture, request.shape, [program]),
    }),
  };
}
