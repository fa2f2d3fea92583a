import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type Arithmetic,
  EXPRESSIONS,
  type Inequality,
  keyRanges,
  NUMBERS,
  type Range,
  resolve,
  type Visibility,
  visibilityOf,
} from "../../compiler/ir/index.ts";
import { type Expression, evaluate, type MaskTerm, type Variables } from "../../runtime/contract/index.ts";
import { isVisible, sightOf } from "../../runtime/reference/visibility.ts";
import { attentionWith } from "../support/attentions.ts";

/** A mask, and how rows and keys of one batch entry lie. */
interface Case {
  readonly mask: readonly MaskTerm[];
  readonly rows: number;
  readonly keys: number;
  readonly firstPosition: number;
  readonly length: number;
  /** The first and last row, key of a tile. */
  readonly tile: { readonly rows: readonly [number, number]; readonly keys: readonly [number, number] };
}

const KINDS = ["causal", "window", "lengths", "documents", "bias"] as const;

function pairOf(count: number): fc.Arbitrary<readonly [number, number]> {
  const index = fc.integer({ min: 0, max: count - 1 });
  return fc.tuple(index, index).map(([a, b]) => [Math.min(a, b), Math.max(a, b)]);
}

function cases(kinds: readonly MaskTerm["kind"][]): fc.Arbitrary<Case> {
  const size = fc.integer({ min: 1, max: 24 });
  return fc.record({ kinds: fc.subarray([...kinds]), window: size, rows: size, keys: size }).chain((drawn) =>
    fc.record({
      mask: fc.constant(
        drawn.kinds.map((kind): MaskTerm => (kind === "window" ? { kind, size: drawn.window } : { kind })),
      ),
      rows: fc.constant(drawn.rows),
      keys: fc.constant(drawn.keys),
      // Positions of a call may lie beyond the keys, and before them where only the mask's terms decide.
      firstPosition: fc.integer({ min: -5, max: drawn.keys + 5 }),
      length: fc.integer({ min: 0, max: drawn.keys }),
      tile: fc.record({ rows: pairOf(drawn.rows), keys: pairOf(drawn.keys) }),
    }),
  );
}

/** What the reference sees; data hide nothing. */
function seenBy({ mask, rows, keys, firstPosition, length }: Case): (row: number, key: number) => boolean {
  const sight = sightOf({
    mask: mask.filter(({ kind }) => kind !== "documents" && kind !== "bias"),
    heads: 1,
    rows,
    keys,
    firstPosition,
    documents: null,
    length,
    bias: null,
  });
  return (row, key) => isVisible(sight, 0, row, key);
}

function holds({ left, relation, right }: Inequality<number>): boolean {
  return relation === "<" ? left < right : left <= right;
}

function inside(range: Range<number>, value: number): boolean {
  return range.where.every(holds) && value >= range.low && value < range.high;
}

/** Keys that are filled: those of the call, where the mask has no lengths. */
function filledOf({ mask, keys, length }: Case): number {
  return mask.some(({ kind }) => kind === "lengths") ? length : keys;
}

/** The same questions, answered by numbers, and by expressions that are evaluated afterwards. */
const ANSWERS: Readonly<Record<string, (drawn: Case) => Visibility<number>>> = {
  numbers: ({ mask }) => visibilityOf(mask, NUMBERS),
  expressions: ({ mask }) =>
    evaluated(
      visibilityOf(mask, EXPRESSIONS, () => "WINDOW"),
      mask,
    ),
};

function evaluated(visibility: Visibility<Expression>, mask: readonly MaskTerm[]): Visibility<number> {
  const window = mask.find((term) => term.kind === "window")?.size ?? 0;
  const value = (expression: Expression, variables: Variables): number =>
    evaluate(expression, { ...variables, WINDOW: window });
  const compare = (each: Inequality<Expression>, variables: Variables): Inequality<number> => ({
    ...each,
    left: value(each.left, variables),
    right: value(each.right, variables),
  });
  const range = (each: Range<Expression>, variables: Variables): Range<number> => ({
    low: value(each.low, variables),
    high: value(each.high, variables),
    where: each.where.map((one) => compare(one, variables)),
  });
  return {
    data: visibility.data,
    keysOf: ({ first, last }, keys) =>
      range(visibility.keysOf({ first: "first", last: "last" }, "keys"), { first, last, keys }),
    rowsOf: (keys, rows, filled) =>
      range(
        visibility.rowsOf(
          { first: "key", last: ["add", "key", "count", -1] },
          { first: "row", last: "end" },
          "filled",
        ),
        { key: keys.first, count: keys.last - keys.first + 1, row: rows.first, end: rows.last, filled },
      ),
    interior: (rows, keys, filled) =>
      visibility
        .interior(
          { first: "row", last: "end" },
          { first: "key", last: ["add", "key", "count", -1] },
          "filled",
        )
        .map((each) =>
          compare(each, {
            row: rows.first,
            end: rows.last,
            key: keys.first,
            count: keys.last - keys.first + 1,
            filled,
          }),
        ),
    pair: (position, key) =>
      visibility.pair("position", "key").map((each) => compare(each, { position, key })),
    row: (position, filled) =>
      visibility.row("position", "filled").map((each) => compare(each, { position, filled })),
  };
}

describe.each(Object.entries(ANSWERS))("visibility in %s is the reference's", (_name, visibilityFor) => {
  test("keys of rows: none outside, and of one row no others inside", () => {
    fc.assert(
      fc.property(cases(KINDS), (drawn) => {
        const [first, last] = drawn.tile.rows;
        const { firstPosition: p } = drawn;
        const seen = seenBy(drawn);
        const visibility = visibilityFor(drawn);
        const range = visibility.keysOf({ first: p + first, last: p + last }, filledOf(drawn));
        for (let row = first; row <= last; row += 1)
          for (let key = 0; key < drawn.keys; key += 1)
            if (seen(row, key)) expect(inside(range, key)).toBe(true);
        const own = visibility.keysOf({ first: p + first, last: p + first }, filledOf(drawn));
        for (let key = 0; key < drawn.keys; key += 1) expect(inside(own, key)).toBe(seen(first, key));
      }),
    );
  });

  test("rows of keys: none outside, and of one key no others inside", () => {
    fc.assert(
      fc.property(cases(KINDS), (drawn) => {
        const [first, last] = drawn.tile.keys;
        const { firstPosition: p } = drawn;
        const seen = seenBy(drawn);
        const visibility = visibilityFor(drawn);
        const rows = { first: p, last: p + drawn.rows - 1 };
        const range = visibility.rowsOf({ first, last }, rows, filledOf(drawn));
        for (let key = first; key <= last; key += 1)
          for (let row = 0; row < drawn.rows; row += 1)
            if (seen(row, key)) expect(inside(range, p + row)).toBe(true);
        const own = visibility.rowsOf({ first, last: first }, rows, filledOf(drawn));
        for (let row = 0; row < drawn.rows; row += 1) expect(inside(own, p + row)).toBe(seen(row, first));
      }),
    );
  });

  test("interior: exactly where all rows of a tile see all its keys", () => {
    fc.assert(
      fc.property(cases(KINDS), (drawn) => {
        const { firstPosition: p, tile } = drawn;
        const seen = seenBy(drawn);
        const rows = { first: p + tile.rows[0], last: p + tile.rows[1] };
        const keys = { first: tile.keys[0], last: tile.keys[1] };
        let all = true;
        for (let row = tile.rows[0]; row <= tile.rows[1]; row += 1)
          for (let key = keys.first; key <= keys.last; key += 1) all &&= seen(row, key);
        const filled = filledOf(drawn);
        const held = visibilityFor(drawn).interior(rows, keys, filled).every(holds) && keys.last < filled;
        expect(held).toBe(all);
      }),
    );
  });

  test("pairs: what holds of both and what holds of the row is what is seen", () => {
    fc.assert(
      fc.property(cases(KINDS), (drawn) => {
        const seen = seenBy(drawn);
        const visibility = visibilityFor(drawn);
        const filled = filledOf(drawn);
        for (let row = 0; row < drawn.rows; row += 1)
          for (let key = 0; key < drawn.keys; key += 1) {
            const position = drawn.firstPosition + row;
            const held = [...visibility.pair(position, key), ...visibility.row(position, filled)].every(
              holds,
            );
            expect(held && key < filled).toBe(seen(row, key));
          }
      }),
    );
  });
});

test("key ranges of calls: bottom-right, at least empty", () => {
  const window = resolve(attentionWith({ mask: [{ kind: "causal" }, { kind: "window", size: 4 }] }), "a.mta");
  // Rows 2 and 3 of five, 12 keys: positions 9 and 10 see 6 … 9 and 7 … 10.
  expect(keyRanges(window, { B: 1, Lq: 5, Lk: 12, R: 0 })(2, 3)).toEqual([6, 11]);
  const causal = resolve(attentionWith(), "a.mta");
  // Rows of history before every key see none.
  expect(keyRanges(causal, { B: 1, Lq: 3, Lk: 3, R: 0 })(-5, -4)).toEqual([0, 0]);
});

test("sums of expressions keep their constants together", () => {
  const { add, sub, min }: Arithmetic<Expression> = EXPRESSIONS;
  expect(add(["add", "a", 3], -3)).toBe("a");
  expect(sub(["add", "a", 1], 2)).toEqual(["add", "a", -1]);
  expect(sub("a", "b")).toEqual(["sub", "a", "b"]);
  expect(min(["a"])).toBe("a");
});

test.each(KINDS)("%s: data, or places", (kind) => {
  const term: MaskTerm = kind === "window" ? { kind, size: 3 } : { kind };
  const { data, pair, row } = visibilityOf([term], NUMBERS);
  // A term that says nothing of either would hide nothing anywhere.
  expect(data || pair(0, 0).length + row(0, 0).length > 0).toBe(true);
});
