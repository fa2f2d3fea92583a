import type {
  Expression,
  Finish,
  Pipeline,
  Plan,
  Step,
  TensorCombineProgram,
  TensorTileProgram,
} from "../../../runtime/contract/index.ts";
import type { CudaArchitecture } from "../architectures.ts";
import { batchRounds } from "../batch-rounds.ts";
import type { Fitted } from "../fit.ts";
import { doesNotFit } from "../fit.ts";
import { graphOf } from "../graph.ts";
import type { UnlaunchedKernel } from "../launch-fields.ts";
import type { PlanRequest } from "../machine.ts";
import type { PlanOptions } from "../options.ts";
import { defineTensorPlan, type TensorChoice, tensorKernel } from "./define.ts";
import { tileRows } from "./support.ts";

import { fitTile, type TileKnobs, type TileRequest } from "./tile.ts";

/** What one tile kernel computes of the scores' section, up to the softmax; or why it cannot. */
export function scoresTile(
  pipeline: Pipeline,
  sink: TensorTileProgram["sink"],
  finalMask: Finish["mask"],
): Fitted<TileRequest> {
  const { dot, scores } = graphOf(pipeline);
  const [conv, second] = scores;
  if (second !== undefined)
    return doesNotFit(
      `${second.stage.name} follows ${conv?.stage.name ?? "another stage"}: one pass keeps one tile of scores`,
    );
  if (conv?.kind === "mix")
    return doesNotFit(`${conv.stage.name} mixes heads, which blocks of one head cannot`);
  if (conv !== undefined && conv.stage.across > 1)
    return doesNotFit(`${conv.stage.name} reads ${conv.stage.across} heads, and a block holds one`);
  return {
    fits: true,
    value: {
      source: "dot",
      sink,
      conv: conv ?? null,
      folded: null,
      keys: "all",
      before: { pointwise: conv === undefined ? [] : dot.pointwise, mask: "zero" },
      finish: { pointwise: (conv ?? dot).pointwise, mask: finalMask },
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

/** The name of the kernel that attends to a part of the keys. */
export function tileKernelName({ keys }: TensorTileProgram): string {
  return keys === "border" ? "border" : "attention";
}

/** The attention kernels, one for each part of the keys, and of the one that combines them. */
export interface AttentionParts {
  readonly definitions: Plan["definitions"];
  readonly workspace: Plan["workspace"];
  readonly kernels: readonly UnlaunchedKernel[];
  /** The steps of a round of `batches` entries, the first of which is the variable `batch`: see `batchRounds`. */
  readonly round: (batches: Expression) => readonly Step[];
}

/**
 * Kernels that each attend to a part of the keys (all of them, or the inner ones and then the border's) and one that combines
 * what they find. Where a single part is not shared between blocks, its kernel writes the results itself.
 */
export function attentionParts(
  pipeline: Pipeline,
  programs: readonly TensorTileProgram[],
  options: PlanOptions = {},
): AttentionParts {
  const [first] = programs;
  if (first === undefined) throw new RangeError("attention takes a kernel");
  const tileQ = tileRows(first);
  const tiles: Expression = ["ceilDiv", "Lq", tileQ];
  // Keys are shared where one tile holds all rows: as widely as fills the device, but not too finely.
  const idle: Expression = ["floorDiv", SPLIT_BLOCKS, ["mul", "B", pipeline.heads]];
  const splits: Expression = [
    "select",
    ["max", 0, ["sub", "Lq", tileQ]],
    1,
    options.splits ?? ["max", 1, ["min", idle, ["floorDiv", "Lk", SPLIT_KEYS]]],
  ];
  const several = programs.length > 1;
  const combined: Expression = several ? 1 : ["min", 1, ["sub", "splits", 1]];
  // The first kernel's blocks may share its keys; each of the others adds one part.
  const count: Expression = several ? ["add", "splits", programs.length - 1] : "splits";
  const parts: Expression = ["mul", combined, "B", pipeline.heads, count, "Lq"];
  const combine: TensorCombineProgram = { kind: "tensor_combine", warps: COMBINE_WARPS };
  const combineKernel = tensorKernel(pipeline, "combine", combine, {
    read: ["partial_values", "partial_sums", "parameters"],
    written: ["o", "lse"],
  });
  const launch = { batch: "batch", parts: count, row_begin: 0, row_end: "Lq" } as const;
  const kernels = programs.map((program) =>
    tensorKernel(pipeline, tileKernelName(program), program, {
      read: [
        "q",
        "q_history",
        program.folded === null ? "k" : "folded_keys",
        "v",
        "parameters",
        "integers",
        "bias",
      ],
      written: [...(several ? [] : ["o", "lse"]), "partial_values", "partial_sums"],
    }),
  );
  return {
    definitions: [{ name: "splits", value: splits }],
    workspace: [
      { name: "partial_values", bytes: ["max", 16, ["mul", 4, pipeline.valueDim, parts]] },
      { name: "partial_sums", bytes: ["max", 16, ["mul", 8, parts]] },
    ],
    kernels: [...kernels, combineKernel],
    round: (batches) => [
      ...kernels.map(
        (kernel, index): Step => ({
          kind: "dispatch",
          kernel: kernel.name,
          grid: [index === 0 ? ["mul", tiles, "splits"] : tiles, pipeline.heads, batches],
          launch,
          multiplyAdds: ["mul", "B", pipeline.heads, "Lq", "Lk", pipeline.headDim + pipeline.valueDim],
        }),
      ),
      {
        kind: "dispatch",
        kernel: combineKernel.name,
        grid: [["mul", combined, ["ceilDiv", "Lq", COMBINE_WARPS]], pipeline.heads, batches],
        launch,
        multiplyAdds: ["mul", parts, pipeline.valueDim],
      },
    ],
  };
}

/** Flash attention with the scores' convolution between product and softmax. */
export function tensorSinglePass(
  pipeline: Pipeline,
  request: PlanRequest,
  architecture: CudaArchitecture,
  tile: TileRequest,
  knobs: TileKnobs,
): Fitted<TensorChoice> {
  const fitted = fitTile(pipeline, architecture, tile, knobs);
  if (!fitted.fits) return fitted;
  const program = fitted.value;
  return {
    fits: true,
    value: {
      kernels: [{ name: tileKernelName(program), program, maps: null }],
      plan(cost) {
        const { round, ...parts } = attentionParts(pipeline, [program], request.options);
        return defineTensorPlan(pipeline, request, architecture, {
          ...parts,
          steps: batchRounds(round),
          schedule: "single_pass",
          knobs: tileKnobNames(knobs, program.conv !== null),
          cost,
        });
      },
    },
  };
}
