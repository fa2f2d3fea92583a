import {
  convReach,
  type Expression,
  hasMask,
  type Pipeline,
  type TensorFoldProgram,
  type TensorTileProgram,
} from "../../../runtime/contract/index.ts";
import { type Candidate, type Choice, candidateOf, dropped } from "../candidate.ts";
import { allFit, doesNotFit, type Fitted, fits, named } from "../fit.ts";
import type { ConvOp } from "../graph.ts";
import type { GpuTask } from "../machine.ts";
import { predict } from "../predict.ts";
import { passChoice, rowPass } from "../schedule/passes.ts";
import { attentionParts, predictAttention } from "./attention.ts";
import { tensorRowKernel } from "./kernel.ts";
import { innerMargin, toeplitzGeometry } from "./support.ts";
import { fitTile, paddedRow } from "./tile.ts";
import {
  IN_REGISTERS,
  IN_SHARED_MEMORY,
  rowKnobNames,
  type TileKnobs,
  type TileRequest,
  tileMenu,
} from "./tile-request.ts";
import { tensorRowWork } from "./work.ts";

const FOLD_WARPS = 4;
/** Keys that one block of the fold kernel convolves: sixteen a warp. */
const FOLD_TILE = FOLD_WARPS * 16;
/** Most rows of a kernel: the keys are held, read and multiplied once for each. */
const MOST_FOLDED_ROWS = 4;

/** What a tile kernel over folded keys computes, and one over those that cannot be folded. */
interface FoldedTiles {
  readonly conv: ConvOp;
  readonly inner: TileRequest;
  /** Null where all keys that a row sees can be folded. */
  readonly border: TileRequest | null;
}

/**
 * The `folded` lowering of one convolution of the scores. Keys are convolved once, before anything is multiplied, which is right
 * wherever the taps of an entry are all visible. A causal mask hides some near the diagonal: there a second kernel
 * convolves the scores as `toeplitz` does.
 */
function foldedTiles(pipeline: Pipeline, tile: TileRequest, conv: ConvOp): Fitted<FoldedTiles> {
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
  if (hasMask(pipeline, "lengths") && convReach(stage).future > 0)
    return doesNotFit(`${stage.name} reads later rows, which lengths may hide`);
  const bordered = hasMask(pipeline, "causal") && innerMargin(stage) > 0;
  return fits({
    conv,
    inner: { ...tile, conv: null, folded: conv, keys: bordered ? "inner" : "all" },
    border: bordered ? { ...tile, keys: "border" } : null,
  });
}

/**
 * What keys have in common, and is taken off them before they are rounded. Inner keys come after the first sixteen; but rows may see key 0 alone of those that
 * all see. What is below `least` is no common part, but one of few keys.
 */
const COMMON_OF_MANY = { keys: 16, unit: 2, least: 1 } as const;
const COMMON_OF_ONE = { keys: 1, unit: 2, least: 3 } as const;

function foldProgram(pipeline: Pipeline, { conv, border }: FoldedTiles): TensorFoldProgram {
  const { stage, index } = conv;
  const { granulesLeft, granulesRight } = toeplitzGeometry(stage);
  const sourceSteps = Math.ceil((16 + 8 * (granulesLeft + granulesRight)) / 16);
  const rows = FOLD_TILE - 16 + 16 * sourceSteps + 1;
  const one = hasMask(pipeline, "causal") && border === null;
  return {
    kind: "tensor_fold",
    stage: index,
    granulesLeft,
    sourceSteps,
    common: one ? COMMON_OF_ONE : COMMON_OF_MANY,
    warps: FOLD_WARPS,
    sharedBytes: rows * paddedRow(pipeline.headDim),
    rowBytes: paddedRow(pipeline.headDim),
  };
}

/** The kernel over the border's keys: the same rows a block, the rest as it fits. */
function fitBorder(task: GpuTask, border: TileRequest, knobs: TileKnobs): Fitted<TensorTileProgram> {
  const own = { ...knobs, queriesInRegisters: false };
  const registers = fitTile(task, border, { ...own, ...IN_REGISTERS });
  return registers.fits ? registers : fitTile(task, border, { ...own, ...IN_SHARED_MEMORY });
}

/** Flash attention over convolved keys; near the diagonal over convolved scores, with one kernel to combine the two. */
function fitFolded(task: GpuTask, folded: FoldedTiles, knobs: TileKnobs): Fitted<Choice> {
  const { conv, inner, border } = folded;
  const { pipeline, machine } = task;
  const tiles = allFit([
    fitTile(task, inner, knobs),
    ...(border === null ? [] : [named("near the diagonal", fitBorder(task, border, knobs))]),
  ]);
  if (!tiles.fits) return tiles;
  const program = foldProgram(pipeline, folded);
  if (program.sharedBytes > machine.limits.workgroupBytes)
    return doesNotFit(`convolving the keys needs ${program.sharedBytes} bytes of shared memory`);
  const kernel = { ...tensorRowKernel(pipeline, "fold", program, FOLD_TILE), source: conv.source };
  const fold = predict(task, kernel, tensorRowWork(task, kernel));
  const attention = predictAttention(task, tiles.value);
  const copies: Expression = ["add", 1, ["mul", conv.stage.kernel.query, "Lk"]];
  const choice = passChoice(task, [fold, ...attention], () => {
    const { workspace, passes, ...parts } = attentionParts(task, attention);
    return {
      ...parts,
      workspace: [
        { name: "folded_keys", bytes: ["mul", 2, "B", pipeline.heads, copies, pipeline.headDim] },
        ...workspace,
      ],
      passes: [{ ...rowPass(fold, {}), rows: "Lk" }, ...passes],
    };
  });
  return fits(choice);
}

/** Candidates of scores whose convolution the keys hold; none where there is no convolution. */
export function foldedCandidates(task: GpuTask, tile: TileRequest): readonly Candidate[] {
  if (tile.conv === null) return [];
  const tiles = foldedTiles(task.pipeline, tile, tile.conv);
  if (!tiles.fits) return [dropped("single_pass", { lowering: "folded" }, tiles.reason)];
  const single = tile.conv.stage.kernel.query === 1;
  return tileMenu(single ? [false, true] : [false], [IN_REGISTERS]).map((knobs) =>
    candidateOf(task, "single_pass", rowKnobNames(knobs, "folded"), fitFolded(task, tiles.value, knobs)),
  );
}
