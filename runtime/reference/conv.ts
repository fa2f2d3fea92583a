import type { ConvStage } from "../contract/index.ts";
import { accumulate, addDots, addProduct, type Matrix, matrixAt } from "./vector.ts";
import { hideInvisible, type Sight, sightEntry } from "./visibility.ts";

/** What a convolution reads of its stage; that of an adjoint differs in the origin. */
type Taps = Pick<ConvStage, "kernel" | "origin" | "dilation" | "across" | "shared">;

/** Kernel of head h in the weights and biases: `shared` serves all groups with the kernels of one. */
function kernelOf({ shared, across }: Taps, head: number): number {
  return shared ? head % across : head;
}

/**
 * Y[h,i,j] = bias[h] + Σ W[h,c,a,b] · S[g(h)+c, i+(a−a0)·dq, j+(b−b0)·dk] (paper section 3.1), 0 where not visible. Maps
 * [H, R + Lq, Lk], the target overwritten; weight [H or across, across, CQ, CK]; bias [H or across].
 */
export function conv(
  taps: Taps,
  weight: Float64Array,
  bias: Float64Array | null,
  source: Float64Array,
  target: Float64Array,
  sight: Sight,
): void {
  forEachRow(taps, source, sight, (row) => {
    target.fill(bias?.[kernelOf(taps, row.head)] ?? 0, row.start + row.begin, row.start + row.end);
    const into = matrixAt(target, row.start + row.begin, 0);
    forEachTapRow(taps, row, sight, (tap, source) => {
      const factors = matrixAt(weight, tap, 0);
      addProduct(into, { factors, source, count: taps.kernel.key }, 1, row.end - row.begin);
    });
    hideInvisible(target, sight, row.head, row.row, row.begin, row.end);
  });
}

/** Adjoint of `conv`: overwrites dSource, and adds to the gradients of weight and bias. */
export function convAdjoint(
  taps: Taps,
  weight: Float64Array,
  source: Float64Array,
  dTarget: Float64Array,
  dSource: Float64Array,
  sight: Sight,
  dWeight: Float64Array,
  dBias: Float64Array | null,
): void {
  const { kernel, origin } = taps;
  const mirrored = { query: kernel.query - 1 - origin.query, key: kernel.key - 1 - origin.key };
  conv({ ...taps, origin: mirrored }, mirroredWeight(taps, weight), null, dTarget, dSource, sight);
  forEachRow(taps, source, sight, (row) => {
    forEachTapRow(taps, row, sight, (tap, sources) => {
      addDots(dWeight, tap, dTarget, row.start + row.begin, sources, kernel.key, row.end - row.begin);
    });
  });
  if (dBias === null) return;
  const entries = sight.rows * sight.keys;
  for (let head = 0; head < sight.heads; head += 1) {
    let sum = 0;
    for (let n = head * entries; n < (head + 1) * entries; n += 1) sum += dTarget[n] ?? 0;
    accumulate(dBias, kernelOf(taps, head), sum);
  }
}

/** The weight of the adjoint: W[c, h, CQ − 1 − a, CK − 1 − b], with h and c counted within their group. */
function mirroredWeight({ kernel, across }: Taps, weight: Float64Array): Float64Array {
  const size = kernel.query * kernel.key;
  return weight.map((_, at) => {
    const tap = at % size;
    const c = Math.floor(at / size) % across;
    const head = Math.floor(at / (size * across));
    const firstHead = head - (head % across);
    return weight[((firstHead + c) * across + (head - firstHead)) * size + (size - 1 - tap)] ?? 0;
  });
}

/** A target row with all that it may take from. */
interface TargetRow {
  readonly head: number;
  readonly row: number;
  /** Where it starts in a map; what it sees lies from begin to end. */
  readonly start: number;
  readonly begin: number;
  readonly end: number;
  /** The maps of its group's heads, in rows with zeros left and right as far as taps reach: "taps outside the map count as 0". */
  readonly bordered: Float64Array;
}

/** Entries of a row with its borders. */
function widthOf({ kernel, dilation }: Taps, { keys }: Sight): number {
  return keys + (kernel.key - 1) * dilation.key;
}

/** Calls back for each row that sees something. */
function forEachRow(taps: Taps, source: Float64Array, sight: Sight, visit: (row: TargetRow) => void): void {
  const { origin, dilation, across } = taps;
  const { heads, rows, keys } = sight;
  const width = widthOf(taps, sight);
  const bordered = new Float64Array(across * rows * width);
  for (let firstHead = 0; firstHead < heads; firstHead += across) {
    for (let n = 0; n < across * rows; n += 1) {
      const start = (firstHead * rows + n) * keys;
      bordered.set(source.subarray(start, start + keys), n * width + origin.key * dilation.key);
    }
    for (let head = firstHead; head < firstHead + across; head += 1) {
      for (let row = 0; row < rows; row += 1) {
        const at = sightEntry(sight, head, row);
        const begin = sight.begin[at] ?? 0;
        const end = sight.end[at] ?? 0;
        if (begin < end) visit({ head, row, start: (head * rows + row) * keys, begin, end, bordered });
      }
    }
  }
}

/**
 * Calls back for each source row that the kernel of a target row meets: entry begin + n of the target takes W[tap + b] times
 * entry n of row b of the sources, for b < CK. Taps in another document count as 0: where the rows share theirs, a visible
 * source key and a visible target key do as well, so that comparing the rows is enough.
 */
function forEachTapRow(
  taps: Taps,
  { head, row, begin, bordered }: TargetRow,
  sight: Sight,
  visit: (tap: number, sources: Matrix) => void,
): void {
  const { kernel, origin, dilation, across } = taps;
  const { rows, rowDocuments } = sight;
  const width = widthOf(taps, sight);
  for (let c = 0; c < across; c += 1) {
    for (let a = 0; a < kernel.query; a += 1) {
      const sourceRow = row + (a - origin.query) * dilation.query;
      if (sourceRow < 0 || sourceRow >= rows) continue;
      if (rowDocuments !== null && rowDocuments[row] !== rowDocuments[sourceRow]) continue;
      const tap = ((kernelOf(taps, head) * across + c) * kernel.query + a) * kernel.key;
      const start = (c * rows + sourceRow) * width + begin;
      visit(tap, matrixAt(bordered, start, dilation.key));
    }
  }
}
