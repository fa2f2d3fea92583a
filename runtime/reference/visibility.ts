import type { MaskTerm } from "../contract/index.ts";

/** Which keys the rows of one batch entry see. Rows count from the oldest row of history. */
export interface Sight {
  readonly heads: number;
  readonly rows: number;
  readonly keys: number;
  /** 1 where visible. [1 or heads, rows, keys]: heads differ only where a bias does. */
  readonly bits: Uint8Array;
  /** Entries between two heads of `bits`: 0 where all see the same. */
  readonly headStride: number;
  /** Visible keys of row n of head h lie within [begin, end) of entry (h or 0) · rows + n; begin ≥ end: none. */
  readonly begin: Int32Array;
  readonly end: Int32Array;
  /** The same as `bits` in runs: keys from runs[2 · r] up to runs[2 · r + 1], for r from firstRun[entry] below firstRun[entry + 1]. */
  readonly runs: Int32Array;
  readonly firstRun: Int32Array;
  /** Document of each row, −1 for none; null without mask `documents`, where all rows share one. */
  readonly rowDocuments: Int32Array | null;
}

/** What decides which keys the rows of one batch entry see. */
export interface SightQuestion {
  readonly mask: readonly MaskTerm[];
  readonly heads: number;
  readonly rows: number;
  readonly keys: number;
  /** p of the first row. */
  readonly firstPosition: number;
  /** [Lk] */
  readonly documents: Float64Array | null;
  readonly length: number;
  readonly bias: { readonly data: Float64Array; readonly start: number; readonly headStride: number } | null;
}

/** vis(i, j) of `semantics.md` for every row and key. */
export function sightOf(question: SightQuestion): Sight {
  const { rows, keys, bias } = question;
  const differing = bias !== null && bias.headStride > 0 ? question.heads : 1;
  const bits = new Uint8Array(differing * rows * keys);
  const begin = new Int32Array(differing * rows);
  const end = new Int32Array(differing * rows);
  const runs: number[] = [];
  const firstRun = new Int32Array(differing * rows + 1);
  for (let head = 0; head < differing; head += 1) {
    for (let row = 0; row < rows; row += 1) {
      const entry = head * rows + row;
      const seen = bits.subarray(entry * keys, (entry + 1) * keys);
      seen.fill(1);
      for (const term of question.mask) {
        for (let key = 0; key < keys; key += 1) if (!termShows(term, question, head, row, key)) seen[key] = 0;
      }
      const first = runs.length;
      for (let key = 0; key < keys; key += 1) {
        if (seen[key] === 0) continue;
        if (key === 0 || seen[key - 1] === 0) runs.push(key, key);
        runs[runs.length - 1] = key + 1;
      }
      firstRun[entry + 1] = runs.length / 2;
      begin[entry] = runs[first] ?? keys;
      end[entry] = runs.length === first ? 0 : (runs.at(-1) ?? 0);
    }
  }
  return {
    heads: question.heads,
    rows,
    keys,
    bits,
    headStride: differing === 1 ? 0 : rows,
    begin,
    end,
    runs: Int32Array.from(runs),
    firstRun,
    rowDocuments: question.mask.some((term) => term.kind === "documents")
      ? Int32Array.from({ length: rows }, (_, row) => documentAt(question, question.firstPosition + row))
      : null,
  };
}

function termShows(term: MaskTerm, question: SightQuestion, head: number, row: number, key: number): boolean {
  const position = question.firstPosition + row;
  switch (term.kind) {
    case "causal":
      return key <= position;
    case "window":
      return position - key < term.size && key - position < term.size;
    case "documents": {
      const document = documentAt(question, position);
      return document >= 0 && document === documentAt(question, key);
    }
    case "lengths":
      return position < question.length && key < question.length;
    case "bias": {
      const { bias } = question;
      if (bias === null) return true;
      // A NaN stays visible: it must be seen in its row rather than silently hide a key.
      const at = bias.start + head * bias.headStride + row * question.keys + key;
      return bias.data[at] !== Number.NEGATIVE_INFINITY;
    }
  }
}

/** Positions outside the keys have no document. */
function documentAt(question: SightQuestion, position: number): number {
  const document = question.documents?.[position] ?? -1;
  return document >= 0 ? document : -1;
}

/** Index into `begin` and `end`, and in rows of keys into `bits`, for a head's row. */
export function sightEntry(sight: Sight, head: number, row: number): number {
  return (sight.headStride === 0 ? 0 : head * sight.rows) + row;
}

/** Whether a head's row sees a key. */
export function isVisible(sight: Sight, head: number, row: number, key: number): boolean {
  return sight.bits[sightEntry(sight, head, row) * sight.keys + key] === 1;
}

/** Entries of a map [heads, rows, keys]. */
export function mapSize(sight: Sight): number {
  return sight.heads * sight.rows * sight.keys;
}

/**
 * Sets what a row does not see of the keys from begin to end to 0. Every map here is 0 wherever it is not visible: that is
 * the "S where visible, 0 where not" before each stage, and the "set to 0 again" after each one of `weights`. Stages write
 * such a range, and then hide what they should not have; adjoints of maps keep to it too.
 */
export function hideInvisible(
  map: Float64Array,
  sight: Sight,
  head: number,
  row: number,
  begin: number,
  end: number,
): void {
  const { rows, keys, runs, firstRun } = sight;
  const at = sightEntry(sight, head, row);
  const start = (head * rows + row) * keys;
  const lastRun = firstRun[at + 1] ?? 0;
  let hidden = begin;
  for (let run = firstRun[at] ?? 0; run < lastRun; run += 1) {
    const seen = runs[2 * run] ?? 0;
    if (hidden < seen) map.fill(0, start + hidden, start + seen);
    hidden = runs[2 * run + 1] ?? 0;
  }
  if (hidden < end) map.fill(0, start + hidden, start + end);
}

/** Rows of a rectangle. */
const BLOCK = 4;

/**
 * Calls back for rectangles in which each row sees each key, from firstRow on; together they are all that is visible. Four
 * rows share one where all of them see one run of keys each; what these do not have in common goes row by row.
 */
export function forEachRectangle(
  sight: Sight,
  firstRow: number,
  visit: (head: number, row: number, key: number, rowCount: number, keyCount: number) => void,
): void {
  const { heads, rows, runs, firstRun } = sight;
  for (let head = 0; head < heads; head += 1) {
    for (let block = firstRow; block < rows; block += BLOCK) {
      const count = Math.min(BLOCK, rows - block);
      const first = sightEntry(sight, head, block);
      const { begin, end } = commonRun(sight, first, count);
      if (begin < end) visit(head, block, begin, count, end - begin);
      for (let row = block; row < block + count; row += 1) {
        const at = first + row - block;
        const lastRun = firstRun[at + 1] ?? 0;
        for (let run = firstRun[at] ?? 0; run < lastRun; run += 1) {
          const from = runs[2 * run] ?? 0;
          const to = runs[2 * run + 1] ?? 0;
          const left = Math.min(to, begin);
          const right = Math.max(from, end);
          if (from < left) visit(head, row, from, 1, left - from);
          if (right < to) visit(head, row, right, 1, to - right);
        }
      }
    }
  }
}

/** The keys that `count` entries from the first on see in common, where each sees one run; else nothing, after all keys. */
function commonRun(
  { keys, begin, end, firstRun }: Sight,
  first: number,
  count: number,
): { readonly begin: number; readonly end: number } {
  let from = 0;
  let to = keys;
  for (let at = first; at < first + count; at += 1) {
    if ((firstRun[at + 1] ?? 0) - (firstRun[at] ?? 0) !== 1) return { begin: keys, end: keys };
    from = Math.max(from, begin[at] ?? 0);
    to = Math.min(to, end[at] ?? 0);
  }
  return from < to ? { begin: from, end: to } : { begin: keys, end: keys };
}
