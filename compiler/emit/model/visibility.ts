import type { Expression, MaskTerm } from "../../../runtime/contract/index.ts";
import { EXPRESSIONS, type Inequality, visibilityOf } from "../../ir/index.ts";
import type { Dialect } from "../dialect/dialect.ts";
import { printExpression, printInequality, variablesOf } from "../dialect/expression.ts";

/** Names of `key_range`, `interior` and `visible`. */
const KEYS = "batch.keys";
const FIRST_POSITION = "batch.first_position";

/**
 * Text of what a mask says of rows and keys, in the variables of the functions `key_range`, `interior` and `visible`.
 *
 * @param ranged The mask whose ranges of keys are looked at: empty where none is to be skipped.
 */
export function visibilityModel(mask: readonly MaskTerm[], ranged: readonly MaskTerm[], dialect: Dialect) {
  const { expressions, pair } = dialect;
  const print = (expression: Expression): string => printExpression(expression, expressions);
  const compare = (each: Inequality<Expression>): string => printInequality(each, expressions);
  const size = (): Expression => "WINDOW";
  const sees = visibilityOf(mask, EXPRESSIONS, size);
  const position = (row: Expression): Expression => EXPRESSIONS.add(FIRST_POSITION, row);
  const range = visibilityOf(ranged, EXPRESSIONS, size).keysOf(
    { first: position("first"), last: position("last") },
    KEYS,
  );
  const interior = sees.interior(
    { first: "first", last: "last" },
    { first: "key", last: ["add", "key", "keys", -1] },
    KEYS,
  );
  const among = visibilityOf(mask, EXPRESSIONS, () => pair.wide("WINDOW")).pair(
    pair.wide("position"),
    pair.key,
  );
  const own = sees.row("position", KEYS);
  const tested = variablesOf(["add", 0, ...interior.flatMap(({ left, right }) => [left, right])]);
  return {
    /** Keys [low, high) outside of which rows `first` to `last` see nothing, where these conditions hold; else they see none. */
    low: print(range.low),
    high: print(range.high),
    where: range.where.map(compare),
    /** Whether data hide pairs anywhere: no tile is free of tests. */
    tested: sees.data,
    /** What holds where the rows at positions `first` to `last` see all keys [key, key + keys), and which of the two it names. */
    interior: interior.map(compare),
    interiorFirst: tested.includes("first") || tested.includes("last"),
    interiorLast: tested.includes("last"),
    /** What holds where a row at `position` sees keys at all, and where it sees one. */
    row: own.map(compare),
    positioned: among.length + own.length > 0 || mask.some(({ kind }) => kind === "documents"),
    pair: among.map(compare),
  };
}
