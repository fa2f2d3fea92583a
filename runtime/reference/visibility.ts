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
  for (let head = 0; head < differing; head += 1) {
    for (let row = 0; row < rows; row += 1) {
      const entry = head * rows + row;
      begin[entry] = keys;
      for (let key = 0; key < keys; key += 1) {
        if (!question.mask.every((term) => termShows(term, question, head, row, key))) continue;
        bits[entry * keys + key] = 1;
        begin[entry] = Math.min(begin[entry] ?? 0, key);
        end[entry] = key + 1;
      }
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
 * Sets what is not visible to 0, in place. Every map here is 0 wherever it is not visible: that is the "S where visible,
 * 0 where not" before each stage, and the "set to 0 again" after each one of `weights`. Adjoints of maps keep to it too.
 */
export function hideInvisible(map: Float64Array, sight: Sight): Float64Array {
  const { heads, rows, keys } = sight;
  for (let head = 0; head < heads; head += 1) {
    for (let row = 0; row < rows; row += 1) {
      const start = (head * rows + row) * keys;
      const bits = sightEntry(sight, head, row) * keys;
      for (let key = 0; key < keys; key += 1) if (sight.bits[bits + key] === 0) map[start + key] = 0;
    }
  }
  return map;
}
