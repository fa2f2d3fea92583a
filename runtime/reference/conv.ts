import type { ConvStage } from "../contract/index.ts";
import { accumulate, addScaled, dot } from "./vector.ts";
import { hideInvisible, mapSize, type Sight, sightEntry } from "./visibility.ts";

/** A tap's run along the keys: target[n] takes weight times source[n] for n < length, indices into maps. */
type Visit = (weight: number, target: number, source: number, length: number) => void;

/** Kernel of head h in the weights and biases: `shared` serves all groups with the kernels of one. */
function kernelOf(stage: ConvStage, head: number): number {
  return stage.shared ? head % stage.across : head;
}

/**
 * Σ_c Σ_a Σ_b of `semantics.md`, step 2, as runs along the keys. Taps outside the map count as 0, and so do taps in
 * another document: where the rows share theirs, a visible source key and a visible target key do as well, so that
 * comparing the rows is enough.
 */
function forEachRun(stage: ConvStage, sight: Sight, visit: Visit): void {
  const { kernel, origin, dilation, across } = stage;
  const { heads, rows, rowDocuments } = sight;
  for (let head = 0; head < heads; head += 1) {
    const firstHead = across * Math.floor(head / across);
    for (let row = 0; row < rows; row += 1) {
      for (let a = 0; a < kernel.query; a += 1) {
        const sourceRow = row + (a - origin.query) * dilation.query;
        if (sourceRow < 0 || sourceRow >= rows) continue;
        if (rowDocuments !== null && rowDocuments[row] !== rowDocuments[sourceRow]) continue;
        for (let c = 0; c < across; c += 1) {
          const weights = ((kernelOf(stage, head) * across + c) * kernel.query + a) * kernel.key;
          rowRuns(stage, sight, { head, row }, { head: firstHead + c, row: sourceRow }, weights, visit);
        }
      }
    }
  }
}

interface MapRow {
  readonly head: number;
  readonly row: number;
}

/** The taps b between one target row and one source row, cut to the keys that each of them sees. */
function rowRuns(
  stage: ConvStage,
  sight: Sight,
  target: MapRow,
  source: MapRow,
  weights: number,
  visit: Visit,
): void {
  const { kernel, origin, dilation } = stage;
  const { rows, keys } = sight;
  const targetSight = sightEntry(sight, target.head, target.row);
  const sourceSight = sightEntry(sight, source.head, source.row);
  const targetStart = (target.head * rows + target.row) * keys;
  const sourceStart = (source.head * rows + source.row) * keys;
  for (let b = 0; b < kernel.key; b += 1) {
    const shift = (b - origin.key) * dilation.key;
    const begin = Math.max(sight.begin[targetSight] ?? 0, (sight.begin[sourceSight] ?? 0) - shift);
    const end = Math.min(sight.end[targetSight] ?? 0, (sight.end[sourceSight] ?? 0) - shift);
    if (begin < end) visit(weights + b, targetStart + begin, sourceStart + begin + shift, end - begin);
  }
}

/**
 * Y[h,i,j] = bias[h] + Σ W[h,c,a,b] · S[g(h)+c, i+(a−a0)·dq, j+(b−b0)·dk] (paper section 3.1), then 0 where not visible.
 * Maps [H, R + Lq, Lk]; weight [H or across, across, CQ, CK]; bias [H or across].
 */
export function conv(
  stage: ConvStage,
  weight: Float64Array,
  bias: Float64Array | null,
  source: Float64Array,
  sight: Sight,
): Float64Array {
  const target = new Float64Array(mapSize(sight));
  if (bias !== null) {
    const entries = sight.rows * sight.keys;
    for (let head = 0; head < sight.heads; head += 1) {
      target.fill(bias[kernelOf(stage, head)] ?? 0, head * entries, (head + 1) * entries);
    }
  }
  forEachRun(stage, sight, (tap, targetAt, sourceAt, length) => {
    addScaled(target, targetAt, source, sourceAt, length, weight[tap] ?? 0);
  });
  return hideInvisible(target, sight);
}

/** Adjoint of `conv`: gives dS, and adds to the gradients of weight and bias. */
export function convAdjoint(
  stage: ConvStage,
  weight: Float64Array,
  source: Float64Array,
  dTarget: Float64Array,
  sight: Sight,
  dWeight: Float64Array,
  dBias: Float64Array | null,
): Float64Array {
  const dSource = new Float64Array(mapSize(sight));
  forEachRun(stage, sight, (tap, targetAt, sourceAt, length) => {
    addScaled(dSource, sourceAt, dTarget, targetAt, length, weight[tap] ?? 0);
    accumulate(dWeight, tap, dot(dTarget, targetAt, source, sourceAt, length));
  });
  if (dBias !== null) {
    const entries = sight.rows * sight.keys;
    for (let head = 0; head < sight.heads; head += 1) {
      let sum = 0;
      for (let n = head * entries; n < (head + 1) * entries; n += 1) sum += dTarget[n] ?? 0;
      accumulate(dBias, kernelOf(stage, head), sum);
    }
  }
  return hideInvisible(dSource, sight);
}
