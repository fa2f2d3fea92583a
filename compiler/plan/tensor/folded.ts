import {
  type Cost,
  convReach,
  type Expression,
  hasMask,
  type Pipeline,
  type Plan,
  type Step,
  type TensorFoldProgram,
  type TensorTileProgram,
} from "../../../runtime/contract/index.ts";
import type { CudaArchitecture } from "../architectures.ts";
import { batchRounds } from "../batch-rounds.ts";
import { doesNotFit, type Fitted } from "../fit.ts";
import type { ConvOp } from "../graph.ts";

import type { PlanRequest } from "../machine.ts";
import { defineTensorPlan, type TensorChoice, tensorKernel } from "./define.ts";
import { attentionParts, tileKernelName } from "./single-pass.ts";

import { innerMargin, toeplitzGeometry } from "./support.ts";
import { fitTile, paddedRow, type TileKnobs, type TileRequest } from "./tile.ts";

const FOLD_WARPS = 4;
/** Keys that one block of the fold kernel convolves: sixteen a warp. */
export const FOLD_TILE = FOLD_WARPS * 16;
/** Most rows of a kernel: the keys are held, read and multiplied once for each. */
const MOST_FOLDED_ROWS = 4;

/** What a tile kernel over folded keys computes, and one over those that cannot be folded; or why there are none. */
export interface FoldedTiles {
  readonly stage: ConvOp;
  readonly inner: TileRequest;
  /** Null where all keys that a row sees can be folded. */
  readonly border: TileRequest | null;
}

/**
 * The `folded` lowering of one convolution of the scores. Keys are convolved once, before anything is multiplied, which is right
 * wherever the taps of an entry are all visible. A causal mask hides some near the diagonal: there a second kernel
 * convolves the scores as `toeplitz` does.
 */
export function foldedTiles(pipeline: Pipeline, tile: TileRequest): Fitted<FoldedTiles> {
  const { conv } = tile;
  if (conv === null) return doesNotFit("there is no convolution to fold into the keys");
  const { stage } = conv;
  for (const kind of ["window", "documents", "bias"] as const)
    if (hasMask(pipeline, kind))
      return doesNotFit(`${kind} hides keys that keys convolved beforehand would still hold`);
  const [pointwise] = tile.before.pointwise;
  if (pointwise !== undefined)
    return doesNotFit(`${pointwise.kind} comes before ${stage.name}: convolved keys would skip it`);
  if (stage.kernel.query > MOST_FOLDED_ROWS)
    return doesNotFit(
      `${stage.name} has ${stage.kernel.query} kernel rows, and each would multiply a copy of the keys: more than ${MOST_FOLDED_ROWS} never pay`,
    );
  const reach = convReach(stage);
  if (hasMask(pipeline, "lengths") && reach.future > 0)
    return doesNotFit(`${stage.name} reads later rows, which lengths may hide`);
  const bordered = hasMask(pipeline, "causal") && innerMargin(stage) > 0;
  return {
    fits: true,
    value: {
      stage: conv,
      inner: { ...tile, conv: null, folded: conv, keys: bordered ? "inner" : "all" },
      border: bordered ? { ...tile, keys: "border" } : null,
    },
  };
}

function foldProgram(pipeline: Pipeline, { stage, index }: ConvOp): TensorFoldProgram {
  const { granulesLeft, granulesRight } = toeplitzGeometry(stage);
  const sourceSteps = Math.ceil((16 + 8 * (granulesLeft + granulesRight)) / 16);
  const rows = FOLD_TILE - 16 + 16 * sourceSteps;
  return {
    kind: "tensor_fold",
    stage: index,
    granulesLeft,
    sourceSteps,
    warps: FOLD_WARPS,
    sharedBytes: rows * paddedRow(pipeline.headDim),
    rowBytes: paddedRow(pipeline.headDim),
  };
}

export function foldedKnobNames(knobs: TileKnobs): Plan["knobs"] {
  return {
    lowering: "folded",
    tile_q: 64 * knobs.rowBlocks,
    tile_k: knobs.tileK,
    queries: knobs.queriesInRegisters ? "registers" : "shared",
  };
}

/** The kernel over the border's keys: the same rows a block, the rest as it fits. */
function fitBorder(
  pipeline: Pipeline,
  architecture: CudaArchitecture,
  border: TileRequest,
  knobs: TileKnobs,
): Fitted<TensorTileProgram> {
  const own = { ...knobs, queriesInRegisters: false };
  const registers = fitTile(pipeline, architecture, border, { ...own, taps: "registers" });
  return registers.fits ? registers : fitTile(pipeline, architecture, border, { ...own, taps: "shared" });
}

/** Flash attention over convolved keys; near the diagonal over convolved scores, with one kernel to combine the two. */
export function tensorFolded(
  pipeline: Pipeline,
  request: PlanRequest,
  architecture: CudaArchitecture,
  { stage, inner, border }: FoldedTiles,
  knobs: TileKnobs,
): Fitted<TensorChoice> {
  const fittedInner = fitTile(pipeline, architecture, inner, knobs);
  if (!fittedInner.fits) return fittedInner;
  const fittedBorder = border === null ? null : fitBorder(pipeline, architecture, border, knobs);
  if (fittedBorder !== null && !fittedBorder.fits)
    return doesNotFit(`near the diagonal: ${fittedBorder.reason}`);
  const fold = foldProgram(pipeline, stage);
  if (fold.sharedBytes > architecture.sharedBytesPerBlock)
    return doesNotFit(`convolving the keys needs ${fold.sharedBytes} bytes of shared memory`);
  const rows = stage.stage.kernel.query;
  const foldKernel = tensorKernel(
    pipeline,
    "fold",
    fold,
    { read: ["k", "parameters", "integers"], written: ["folded_keys"] },
    stage.stage.source,
  );
  const foldStep = (batches: Expression): Step => ({
    kind: "dispatch",
    kernel: foldKernel.name,
    grid: [["ceilDiv", "Lk", FOLD_TILE], pipeline.heads, batches],
    launch: { batch: "batch" },
    multiplyAdds: ["mul", "B", pipeline.heads, "Lk", rows * 32 * fold.sourceSteps, pipeline.headDim],
  });
  const tiles = [fittedInner.value, ...(fittedBorder === null ? [] : [fittedBorder.value])];
  const kernels = [
    { name: "fold", program: fold, maps: null },
    ...tiles.map((program) => ({ name: tileKernelName(program), program, maps: null })),
  ];
  const plan = (cost: Cost): Plan => {
    const { round, ...parts } = attentionParts(pipeline, tiles, request.options);
    return defineTensorPlan(pipeline, request, architecture, {
      ...parts,
      schedule: "single_pass",
      knobs: foldedKnobNames(knobs),
      workspace: [
        {
          name: "folded_keys",
          bytes: ["mul", 2, "B", pipeline.heads * rows, "Lk", pipeline.headDim],
        },
        ...parts.workspace,
      ],
      kernels: [foldKernel, ...parts.kernels],
      steps: batchRounds((batches) => [foldStep(batches), ...round(batches)]),
      cost,
    });
  };
  return { fits: true, value: { kernels, plan } };
}

/** What the planner may vary. */
export function foldedMenu({ stage }: FoldedTiles): TileKnobs[] {
  const single = stage.stage.kernel.query === 1;
  return [1, 2].flatMap((rowBlocks) =>
    [64, 32].flatMap((tileK) =>
      (single ? [false, true] : [false]).map((queriesInRegisters) => ({
        rowBlocks,
        tileK,
        queriesInRegisters,
        taps: "registers" as const,
        precision: "f16" as const,
      })),
    ),
  );
}
