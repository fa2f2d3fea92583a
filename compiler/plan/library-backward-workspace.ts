import {
  type CallShape,
  headsTogether,
  libraryParts,
  type Pipeline,
  type Plan,
  type ScoreStage,
  type WeightStage,
} from "../../runtime/contract/index.ts";
import { ceilTo } from "./layout.ts";
import { panelOf, SIGHT_BYTES, taken } from "./library-workspace.ts";
import type { CpuMachine } from "./machine.ts";

type Stage = ScoreStage | WeightStage;

/**
 * Bytes of memory that a backward pass of the C library needs for a call beside its tensors: as `lay_out_backward` (`templates/c/backward-memory.h`) takes
 * them, where all gradients are wanted.
 */
export function backwardWorkspace(
  { pipeline, knobs, parameterWords }: Pick<Plan, "pipeline" | "knobs" | "parameterWords">,
  shape: CallShape,
  { lanes, threads }: Pick<CpuMachine, "lanes" | "threads">,
): number {
  const parts = libraryParts({ pipeline, knobs }, shape, threads);
  const strip = Number(knobs["strip"]);
  const { heads, kvHeads, headDim, valueDim, scores, weights, mask } = pipeline;
  const stages = [...scores, ...weights];
  const group = headsTogether(pipeline);
  const panel = panelOf(lanes);
  const panels = Math.ceil(shape.Lk / panel);
  const keys = panels * panel;
  const pitch = keys + 2 * borderOf(stages, lanes) + CACHE_LINE;
  const bands = backwardBands(pipeline);
  const rows = Math.max(...bands.map(({ keep }) => keep)) + strip;
  const sights = Math.max(...bands.map(({ lead }) => lead)) + rows;
  const [headWidth, valueWidth] = [ceilTo(headDim, lanes), ceilTo(valueDim, lanes)];
  const tasks = Math.max(group, strip / ROWS);
  const own = (channels: number, width: number): number =>
    width === channels && shape.Lk % ROWS === 0 ? 0 : kvHeads * keys * width * 4;
  const turned = stages.map((stage) => (hasWeights(stage) ? heads * readBy(stage) * tapsOf(stage) : 0));
  const sums = stages.map((stage) => (stage.kind === "mix" ? stage.group ** 2 : tapsOf(stage)));
  const documents = mask.some(({ kind }) => kind === "documents");
  return [
    ...bands.map(({ keep }) => group * (strip + keep) * pitch * 4),
    parts * sights * SIGHT_BYTES,
    parts * sights * SPAN_BYTES,
    kvHeads * keys * headDim * 4,
    kvHeads * keys * valueDim * 4,
    kvHeads * panels,
    kvHeads * panels,
    group * strip * headDim * 4,
    group * strip * headWidth * 4,
    group * strip * valueWidth * 4,
    group * strip * valueWidth * 4,
    group * strip * headWidth * 4,
    own(headDim, headWidth),
    own(valueDim, valueWidth),
    turned.reduce((sum, each) => sum + each, 0) * 4,
    parts * Math.max(1, ...sums) * lanes * 4,
    parts * group * MIX_COLUMNS * 4,
    parts * KEY_BLOCK * Math.max(headWidth, valueWidth) * 4,
    documents ? parts * rows * pitch * 4 : 0,
    parts * parameterWords * 4,
    tasks * parameterWords * 8,
  ].reduce((sum, bytes) => sum + taken(bytes), 0);
}

/**
 * Rows that the library computes at a time; keys of a block (`KEY_BLOCK`); columns of a mix in place; floats by which rows are longer than they need
 * be; bytes of a `struct span`.
 */
const ROWS = 4;
export const KEY_BLOCK = 128;
const MIX_COLUMNS = 128;
const CACHE_LINE = 16;
const SPAN_BYTES = 8;

function hasWeights({ kind }: Stage): boolean {
  return kind === "conv" || kind === "mix";
}

/** Heads that an entry is a sum over. */
function readBy(stage: Stage): number {
  if (stage.kind === "conv") return stage.across;
  return stage.kind === "mix" ? stage.group : 1;
}

function tapsOf(stage: Stage): number {
  return stage.kind === "conv" ? stage.kernel.query * stage.kernel.key : 1;
}

function borderOf(stages: readonly Stage[], lanes: number): number {
  const reaches = stages.map((stage) =>
    stage.kind === "conv" ? (stage.kernel.key - 1) * stage.dilation.key : 0,
  );
  return ceilTo(Math.max(0, ...reaches), lanes) + lanes;
}

function pastOf(stage: Stage): number {
  return stage.kind === "conv" ? stage.origin.query * stage.dilation.query : 0;
}

function aheadOf(stage: Stage): number {
  return stage.kind === "conv" ? (stage.kernel.query - 1 - stage.origin.query) * stage.dilation.query : 0;
}

/** A map's rows beside the strip's (`templates/c/bands.h`). */
interface Band {
  lead: number;
  keep: number;
}

interface Chain {
  readonly stages: readonly Stage[];
  readonly maps: readonly Band[];
  readonly gradients: readonly Band[];
}

/** The maps of a backward pass, as `chain_maps` has them. */
export function backwardBands({ scores, weights }: Pipeline): readonly Readonly<Band>[] {
  const band = (): Band => ({ lead: 0, keep: 0 });
  const logits = weights.map(band);
  const last = band();
  const first = logits[0] ?? last;
  const scoreMaps = scores.map(band);
  const d_last = band();
  const d_weights = gradientsOf(weights, d_last, band);
  const d_scores = gradientsOf(scores, d_weights[0] ?? d_last, band);
  const past = (stages: readonly Stage[]): number => stages.reduce((sum, each) => sum + aheadOf(each), 0);
  const between = past(scores);
  place({ stages: weights, maps: [...logits, last], gradients: d_weights }, between, between + past(weights));
  place({ stages: scores, maps: [...scoreMaps, first], gradients: d_scores }, 0, first.lead);
  keepRows(first, first.lead - between);
  return [...new Set([...scoreMaps, ...logits, last, ...d_weights, ...d_scores])];
}

/** The gradient of each map: only a convolution's input has another than what it is made from. */
function gradientsOf(stages: readonly Stage[], last: Band, make: () => Band): readonly Band[] {
  const gradients = [last];
  for (const stage of stages.toReversed()) {
    const [next = last] = gradients;
    gradients.unshift(stage.kind === "conv" ? make() : next);
  }
  return gradients;
}

function keepRows(band: Band, rows: number): void {
  band.keep = Math.max(band.keep, rows);
}

/** As `place_chain`. */
function place({ stages, maps, gradients }: Chain, gradientLead: number, mapLead: number): void {
  let lead = gradientLead;
  gradients.forEach((gradient, index) => {
    gradient.lead = lead;
    const stage = stages[index];
    if (stage !== undefined) lead += aheadOf(stage);
  });
  let early = mapLead;
  const [final] = maps.slice(-1);
  if (final !== undefined) final.lead = early;
  for (const [index, stage] of [...stages.entries()].toReversed()) {
    const [map, gradient] = [maps[index], gradients[index + 1]];
    if (map === undefined || gradient === undefined) continue;
    early += pastOf(stage);
    map.lead = early;
    keepRows(map, pastOf(stage) + aheadOf(stage));
    keepRows(map, early - gradient.lead + aheadOf(stage));
    keepRows(gradient, pastOf(stage) + aheadOf(stage));
  }
}
