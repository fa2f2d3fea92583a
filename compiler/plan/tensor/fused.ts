import { type Candidate, type Choice, candidateOf, dropped } from "../candidate.ts";
import { doesNotFit, type Fitted, fits, named, whereFits } from "../fit.ts";
import { graphOf } from "../graph.ts";
import type { GpuTask } from "../machine.ts";
import { passChoice, twoPass } from "../schedule/passes.ts";
import { attentionParts, predictAttention, predictTile } from "./attention.ts";
import { foldedCandidates } from "./folded.ts";
import { NO_DROPOUT, oneHeadConv } from "./support.ts";
import { fitTile } from "./tile.ts";
import {
  EXACTLY,
  IN_REGISTERS,
  IN_SHARED_MEMORY,
  PLAIN_TILE,
  rowKnobNames,
  type TileKnobs,
  type TileRequest,
  tileMenu,
} from "./tile-request.ts";

/** What one tile kernel computes of the scores' section, up to the softmax and the product with v; or why it cannot. */
function scoresTile({ pipeline }: GpuTask): Fitted<TileRequest> {
  const { dot, scores } = graphOf(pipeline);
  const [first, second] = scores;
  const tile = { ...PLAIN_TILE, sink: "attention" } as const;
  if (first === undefined) return fits({ ...tile, finish: { pointwise: dot.pointwise, mask: "hide" } });
  if (second !== undefined)
    return doesNotFit(`${second.stage.name} follows ${first.stage.name}: one pass keeps one tile of scores`);
  return whereFits(oneHeadConv(first), (conv) => ({
    ...tile,
    conv,
    before: { pointwise: dot.pointwise, mask: "zero" },
    finish: { pointwise: conv.pointwise, mask: "hide" },
  }));
}

function knobNames(knobs: TileKnobs, { conv }: TileRequest): Candidate["knobs"] {
  if (conv === null) return rowKnobNames(knobs, "tensor");
  return { ...rowKnobNames(knobs, "toeplitz"), taps: knobs.taps, precision: knobs.precision };
}

/** Flash attention, with the scores' convolution between product and softmax, or in the keys. */
export function singlePassCandidates(task: GpuTask): readonly Candidate[] {
  const fitted = scoresTile(task);
  if (!fitted.fits) return [dropped("single_pass", { lowering: "tensor" }, fitted.reason)];
  const tile = fitted.value;
  const menu = tileMenu(
    [false, true],
    tile.conv === null ? [IN_REGISTERS] : [IN_REGISTERS, EXACTLY, IN_SHARED_MEMORY],
  );
  const plain = menu.map((knobs) => {
    const choice = whereFits(fitTile(task, tile, knobs), (program) => {
      const kernels = predictAttention(task, [program]);
      return passChoice(task, kernels, () => attentionParts(task, kernels));
    });
    return candidateOf(task, "single_pass", knobNames(knobs, tile), choice);
  });
  return [...foldedCandidates(task, tile), ...plain];
}

/** What the two kernels of `two_pass` compute. */
interface TwoTiles {
  readonly statistics: TileRequest;
  readonly apply: TileRequest;
}

/** These, or why one tile of one head does not suffice. */
function twoPassTiles({ pipeline }: GpuTask): Fitted<TwoTiles> {
  const { dot, scores, weights } = graphOf(pipeline);
  const [before] = scores;
  if (before !== undefined)
    return doesNotFit(
      `pass 2 keeps one tile, and ${before.stage.name} would need one of scores beside that of weights`,
    );
  const [first, second] = weights;
  if (first === undefined) return doesNotFit("without stages after the softmax one pass does");
  if (second !== undefined)
    return doesNotFit(`pass 2 keeps one tile, and ${second.stage.name} follows ${first.stage.name}`);
  if (first.kind === "dropout") return doesNotFit(NO_DROPOUT);
  const { pointwise } = dot;
  return whereFits(oneHeadConv(first), (conv) => ({
    statistics: { ...PLAIN_TILE, sink: "statistics", finish: { pointwise, mask: "hide" } },
    apply: { ...PLAIN_TILE, sink: "product", conv, before: { pointwise, mask: "normalize" } },
  }));
}

/** Statistics of all rows first, then scores again: normalised, convolved, times values. */
export function twoPassCandidates(task: GpuTask): readonly Candidate[] {
  const tiles = twoPassTiles(task);
  if (!tiles.fits) return [dropped("two_pass", { lowering: "tensor" }, tiles.reason)];
  return tileMenu([false, true], [IN_REGISTERS, IN_SHARED_MEMORY]).map((knobs) => {
    const names = knobNames(knobs, tiles.value.apply);
    return candidateOf(task, "two_pass", names, fitTwoPass(task, tiles.value, knobs));
  });
}

function fitTwoPass(task: GpuTask, { statistics, apply }: TwoTiles, knobs: TileKnobs): Fitted<Choice> {
  const first = named("pass 1", fitTile(task, statistics, { ...knobs, taps: "registers" }));
  if (!first.fits) return first;
  return whereFits(named("pass 2", fitTile(task, apply, knobs)), (second) =>
    twoPass(task, predictTile(task, "statistics", first.value), predictTile(task, "apply", second)),
  );
}
