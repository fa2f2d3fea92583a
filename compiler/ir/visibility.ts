import type { CallShape, Expression, MaskTerm, Pipeline } from "../../runtime/contract/index.ts";

/**
 * Which keys rows see, and which rows see keys: one definition, of which numbers, the plan's expressions and the kernels' text come.
 * Rows count by their absolute positions here.
 */

/** What one term of a mask says of a row at position p and a key j. */
interface TermSight {
  /** j − p is less than this. */
  readonly ahead?: Expression;
  /** p − j is less than this. */
  readonly behind?: Expression;
  /** Neither row nor key lies beyond the filled keys. */
  readonly filled?: true;
  /** It depends on data of the pair: ranges and interiors cannot know it. */
  readonly data?: true;
}

type Term<Kind extends MaskTerm["kind"]> = Extract<MaskTerm, { readonly kind: Kind }>;

/** Every term there is. `size`: how to name a window's size. */
const TERMS: {
  readonly [Kind in MaskTerm["kind"]]: (
    term: Term<Kind>,
    size: (window: Term<"window">) => Expression,
  ) => TermSight;
} = {
  causal: () => ({ ahead: 1 }),
  window: (term, size) => ({ ahead: size(term), behind: size(term) }),
  documents: () => ({ data: true }),
  lengths: () => ({ filled: true }),
  bias: () => ({ data: true }),
};

function sightOfTerm<Kind extends MaskTerm["kind"]>(
  term: Term<Kind>,
  kind: Kind,
  size: (window: Term<"window">) => Expression,
): TermSight {
  return TERMS[kind](term, size);
}

/** How sums and extremes are made: of numbers, or of expressions over named variables. */
export interface Arithmetic<T> {
  of(value: Expression): T;
  add(a: T, b: T): T;
  sub(a: T, b: T): T;
  min(values: readonly T[]): T;
  max(values: readonly T[]): T;
}

/** Numbers: expressions are constants. */
export const NUMBERS: Arithmetic<number> = {
  of: (value) => {
    if (typeof value !== "number") throw new RangeError(`${JSON.stringify(value)} is no number`);
    return value;
  },
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  min: (values) => Math.min(...values),
  max: (values) => Math.max(...values),
};

/** The terms of a sum, its constant last and in one. */
function sum(...terms: Expression[]): Expression {
  let constant = 0;
  const rest: Expression[] = [];
  for (const term of terms.flatMap((each) =>
    typeof each === "object" && each[0] === "add" ? tail(each) : [each],
  ))
    if (typeof term === "number") constant += term;
    else rest.push(term);
  const all = constant === 0 ? rest : [...rest, constant];
  return all.length < 2 ? (all[0] ?? 0) : ["add", ...all];
}

function tail([, ...operands]: Exclude<Expression, number | string>): readonly Expression[] {
  return operands;
}

function extreme(name: "min" | "max", values: readonly Expression[]): Expression {
  return values.length === 1 ? (values[0] ?? 0) : [name, ...values];
}

/** Expressions over named variables. */
export const EXPRESSIONS: Arithmetic<Expression> = {
  of: (value) => value,
  add: sum,
  sub: (a, b) => (typeof b === "number" ? sum(a, -b) : ["sub", a, b]),
  min: (values) => extreme("min", values),
  max: (values) => extreme("max", values),
};

/** A comparison that holds for what is visible. */
export interface Inequality<T> {
  readonly left: T;
  readonly relation: "<" | "<=";
  readonly right: T;
}

/** The first and the last of neighbouring rows (their positions) or keys. */
export interface Span<T> {
  readonly first: T;
  readonly last: T;
}

/** Rows or keys [low, high); where one of `unless` does not hold, none. */
export interface Range<T> {
  readonly low: T;
  readonly high: T;
  readonly where: readonly Inequality<T>[];
}

/** What a mask says of pairs of rows and keys. */
export interface Visibility<T> {
  /** Whether it hides pairs by what their data say, wherever they are. */
  readonly data: boolean;
  /** Keys outside of which rows see nothing, of `keys` that are filled. */
  keysOf(rows: Span<T>, keys: T): Range<T>;
  /** Positions of rows outside of which nobody sees any of the keys: of rows that exist, and of `filled` keys. */
  rowsOf(keys: Span<T>, rows: Span<T>, filled: T): Range<T>;
  /** What holds where all rows see all keys, as far as their places decide; rows and keys exist. */
  interior(rows: Span<T>, keys: Span<T>, filled: T): readonly Inequality<T>[];
  /** What holds where a row sees a key, of what depends on both. */
  pair(position: T, key: T): readonly Inequality<T>[];
  /** What holds where a row sees keys at all. */
  row(position: T, filled: T): readonly Inequality<T>[];
}

/**
 * @param arithmetic What positions and keys are: NUMBERS or EXPRESSIONS.
 * @param size A window's size where it is not to be its number.
 */
export function visibilityOf<T>(
  mask: readonly MaskTerm[],
  arithmetic: Arithmetic<T>,
  size: (window: Term<"window">) => Expression = (window) => window.size,
): Visibility<T> {
  const { of, add, sub, min, max } = arithmetic;
  const terms = mask.map((term) => sightOfTerm(term, term.kind, size));
  const bounds = (side: "ahead" | "behind"): readonly Expression[] => {
    const all = terms.flatMap((term) => (term[side] === undefined ? [] : [term[side]]));
    // Nothing bounds more closely than 1: windows are positive.
    return all.includes(1) ? [1] : all;
  };
  const ahead = bounds("ahead");
  const behind = bounds("behind");
  const filledOnly = terms.some((term) => term.filled === true);
  const less = (left: T, right: T): Inequality<T> => ({ left, relation: "<", right });
  const within = (from: T, to: T, bound: Expression): Inequality<T> =>
    bound === 1 ? { left: to, relation: "<=", right: from } : less(sub(to, from), of(bound));
  const zero = of(0);
  return {
    data: terms.some((term) => term.data === true),
    keysOf: ({ first, last }, keys) => ({
      low: max([zero, ...behind.map((bound) => sub(first, sub(of(bound), of(1))))]),
      high: min([keys, ...ahead.map((bound) => add(last, of(bound)))]),
      where: filledOnly ? [less(first, keys)] : [],
    }),
    rowsOf: (keys, rows, filled) => ({
      low: max([rows.first, ...ahead.map((bound) => sub(keys.first, sub(of(bound), of(1))))]),
      high: min([
        add(rows.last, of(1)),
        ...behind.map((bound) => add(keys.last, of(bound))),
        ...(filledOnly ? [filled] : []),
      ]),
      where: [less(keys.first, filled)],
    }),
    interior: (rows, keys, filled) => [
      ...ahead.map((bound) => within(rows.first, keys.last, bound)),
      ...behind.map((bound) => within(keys.first, rows.last, bound)),
      ...(filledOnly ? [less(rows.last, filled)] : []),
    ],
    pair: (position, key) => [
      ...ahead.map((bound) => within(position, key, bound)),
      ...behind.map((bound) => within(key, position, bound)),
    ],
    row: (position, filled) => (filledOnly ? [less(position, filled)] : []),
  };
}

/** Keys [begin, end) that rows [first, last] of a call without `positions` see at most, whatever its data hide. */
export type KeyRange = (first: number, last: number) => readonly [begin: number, end: number];

/** A position that no call has. */
const FAR = 2 ** 40;

/** How far back the keys of a row begin, and how far ahead they end. Ranges move along with their rows: one far from both ends of the keys tells it. */
function reachOf({ mask }: Pipeline): { readonly back: number; readonly ahead: number } {
  const { low, high } = visibilityOf(mask, NUMBERS).keysOf({ first: FAR, last: FAR }, 2 * FAR);
  return {
    back: low === 0 ? Number.POSITIVE_INFINITY : FAR - low,
    ahead: high === 2 * FAR ? Number.POSITIVE_INFINITY : high - FAR,
  };
}

/** Rows of a call from each of which on to the next ranges grow or shrink evenly; 0 and the last row's next are among them. */
export function rangeKinks(pipeline: Pipeline, { Lq, Lk }: CallShape): readonly number[] {
  const { back, ahead } = reachOf(pipeline);
  const offset = Lk - Lq;
  const kinks = [back - offset, -ahead - offset, Lk - ahead - offset].filter((row) => row > 0 && row < Lq);
  return [0, ...kinks.sort((a, b) => a - b), Lq];
}

/** The ranges of a call; loops over its rows ask once for the function. */
export function keyRanges(pipeline: Pipeline, { Lq, Lk }: CallShape): KeyRange {
  const { back, ahead } = reachOf(pipeline);
  const offset = Lk - Lq;
  return (first, last) => {
    const begin = Math.max(0, offset + first - back);
    return [begin, Math.max(begin, Math.min(Lk, offset + last + ahead))];
  };
}
