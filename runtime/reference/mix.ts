import type { MixStage } from "../contract/index.ts";
import { addDots, addProduct, type Matrix, matrixAt } from "./vector.ts";
import { hideInvisible, type Sight, sightEntry } from "./visibility.ts";

/**
 * Y[o] = Σ_n W[⌊o/G⌋, o mod G, n] · S[G·⌊o/G⌋ + n] (paper section 3.2), 0 where not visible. Maps [H, R + Lq, Lk], the
 * target overwritten; weight [H/G, G, G].
 */
export function mix(
  { group }: MixStage,
  weight: Float64Array,
  source: Float64Array,
  target: Float64Array,
  sight: Sight,
): void {
  const { rows, keys } = sight;
  forEachGroupRow(group, source, sight, (firstHead, row, sources, begin, end) => {
    const start = (firstHead * rows + row) * keys;
    for (let n = 0; n < group; n += 1) {
      target.fill(0, start + n * rows * keys + begin, start + n * rows * keys + end);
    }
    const targets = matrixAt(target, start + begin, rows * keys);
    const factors = matrixAt(weight, firstHead * group, group);
    addProduct(targets, { factors, source: sources, count: group }, group, end - begin);
    for (let head = firstHead; head < firstHead + group; head += 1) {
      hideInvisible(target, sight, head, row, begin, end);
    }
  });
}

/** Adjoint of `mix`: overwrites dSource, and adds to the gradient of the weight. */
export function mixAdjoint(
  stage: MixStage,
  weight: Float64Array,
  source: Float64Array,
  dTarget: Float64Array,
  dSource: Float64Array,
  sight: Sight,
  dWeight: Float64Array,
): void {
  const { rows, keys } = sight;
  const { group } = stage;
  mix(stage, transposed(weight, group), dTarget, dSource, sight);
  forEachGroupRow(group, source, sight, (firstHead, row, sources, begin, end) => {
    for (let head = firstHead; head < firstHead + group; head += 1) {
      const start = (head * rows + row) * keys + begin;
      addDots(dWeight, head * group, dTarget, start, sources, group, end - begin);
    }
  });
}

/** The weight of the adjoint: each group's matrix transposed. */
function transposed(weight: Float64Array, group: number): Float64Array {
  const size = group * group;
  return weight.map((_, at) => {
    const within = at % size;
    return weight[at - within + (within % group) * group + Math.floor(within / group)] ?? 0;
  });
}

/**
 * Calls back for each row of each group of heads with the rows of these heads, from the first key that one of them sees
 * until the last. Heads of a map often lie a power of two apart, where caches hold few of them at once: so they are
 * copied to rows that do not.
 */
function forEachGroupRow(
  group: number,
  map: Float64Array,
  sight: Sight,
  visit: (firstHead: number, row: number, sources: Matrix, begin: number, end: number) => void,
): void {
  const { heads, rows, keys } = sight;
  const stride = keys + 8;
  const data = new Float64Array(group * stride);
  for (let firstHead = 0; firstHead < heads; firstHead += group) {
    for (let row = 0; row < rows; row += 1) {
      let begin = keys;
      let end = 0;
      for (let head = firstHead; head < firstHead + group; head += 1) {
        const at = sightEntry(sight, head, row);
        begin = Math.min(begin, sight.begin[at] ?? 0);
        end = Math.max(end, sight.end[at] ?? 0);
      }
      if (begin >= end) continue;
      for (let n = 0; n < group; n += 1) {
        const start = ((firstHead + n) * rows + row) * keys;
        data.set(map.subarray(start + begin, start + end), n * stride);
      }
      visit(firstHead, row, matrixAt(data, 0, stride), begin, end);
    }
  }
}
