import { type Expression, evaluate, type Variables } from "../../runtime/contract/index.ts";

/** slope · x + constant. */
interface Line {
  readonly slope: number;
  readonly constant: number;
}

/** Lines that an expression of x stays between, wherever x is within a span. */
export interface Bounds {
  readonly low: Line;
  readonly high: Line;
}

/** Values of x. */
export interface Span {
  readonly first: number;
  readonly last: number;
}

/** What expressions see: values, and bounds of what depends on x. */
export interface Scope {
  readonly values: Variables;
  readonly bounds: ReadonlyMap<string, Bounds>;
  readonly span: Span;
}

/** x itself. */
export const ITSELF = exactly({ slope: 1, constant: 0 });

/** The least and the most that bounded expressions can be. */
export function extent({ low, high }: Bounds, { first, last }: Span): readonly [least: number, most: number] {
  return [Math.min(at(low, first), at(low, last)), Math.max(at(high, first), at(high, last))];
}

/** Bounds of an expression; the closer, the fewer kinks it has within the span. Equal ones where it is a line there. */
export function boundsOf(expression: Expression, scope: Scope): Bounds {
  if (typeof expression === "string") {
    const known = scope.bounds.get(expression);
    if (known !== undefined) return known;
  }
  if (typeof expression !== "object") return constant(evaluate(expression, scope.values));
  const [operator, ...operands] = expression;
  const all = operands.map((operand) => boundsOf(operand, scope));
  const [a = ITSELF, b = ITSELF, c = ITSELF] = all;
  switch (operator) {
    case "add":
      return all.reduce((sum, each) => combined(sum, 1, each));
    case "sub":
      return combined(a, -1, b);
    case "mul":
      return all.reduce((product, each) => multiplied(product, each, scope.span));
    case "floorDiv":
      return divided(a, b, (by) => ({ below: (by - 1) / by, above: 0 }));
    case "ceilDiv":
      return divided(a, b, (by) => ({ below: 0, above: (by - 1) / by }));
    case "min":
      return all.reduce((least, each) => lesser(least, each, scope.span));
    case "max":
      return negative(all.map(negative).reduce((least, each) => lesser(least, each, scope.span)));
    case "select": {
      const chosen = singleValue(a);
      if (chosen === null) return UNKNOWN;
      return chosen === 0 ? c : b;
    }
  }
}

/** What an expression is all over the span; null where it is not one number, or nobody knows. */
export function singleValue({ low, high }: Bounds): number | null {
  const same = low.slope === 0 && high.slope === 0 && low.constant === high.constant;
  return same ? low.constant : null;
}

const UNKNOWN: Bounds = {
  low: { slope: 0, constant: Number.NEGATIVE_INFINITY },
  high: { slope: 0, constant: Number.POSITIVE_INFINITY },
};

function at({ slope, constant: base }: Line, x: number): number {
  return slope === 0 ? base : slope * x + base;
}

function exactly(line: Line): Bounds {
  return { low: line, high: line };
}

function constant(value: number): Bounds {
  return exactly({ slope: 0, constant: value });
}

function plus(a: Line, factor: number, b: Line): Line {
  return { slope: a.slope + factor * b.slope, constant: a.constant + factor * b.constant };
}

/** a + b, or a − b. */
function combined(a: Bounds, factor: 1 | -1, b: Bounds): Bounds {
  const [low, high] = factor === 1 ? [b.low, b.high] : [b.high, b.low];
  return { low: plus(a.low, factor, low), high: plus(a.high, factor, high) };
}

function negative({ low, high }: Bounds): Bounds {
  const turned = ({ slope, constant: base }: Line): Line => ({ slope: -slope, constant: -base });
  return { low: turned(high), high: turned(low) };
}

function multiplied(a: Bounds, b: Bounds, span: Span): Bounds {
  const factor = singleValue(a);
  if (factor !== null) return scaled(b, factor);
  const other = singleValue(b);
  if (other !== null) return scaled(a, other);
  const corners = extent(a, span).flatMap((x) => extent(b, span).map((y) => x * y));
  // Infinity times zero.
  if (corners.some(Number.isNaN)) return UNKNOWN;
  return {
    low: { slope: 0, constant: Math.min(...corners) },
    high: { slope: 0, constant: Math.max(...corners) },
  };
}

function scaled({ low, high }: Bounds, factor: number): Bounds {
  if (factor === 0) return constant(0);
  const times = ({ slope, constant: base }: Line): Line => ({
    slope: slope * factor,
    constant: base * factor,
  });
  return factor > 0 ? { low: times(low), high: times(high) } : { low: times(high), high: times(low) };
}

/** @param rounding How far a quotient of whole numbers may be rounded down and up. */
function divided(
  a: Bounds,
  b: Bounds,
  rounding: (by: number) => { readonly below: number; readonly above: number },
): Bounds {
  const by = singleValue(b);
  if (by === null || by <= 0) return UNKNOWN;
  const { below, above } = rounding(by);
  const { low, high } = scaled(a, 1 / by);
  return {
    low: { ...low, constant: low.constant - below },
    high: { ...high, constant: high.constant + above },
  };
}

/** The lesser of two: one of them, where they do not cross within the span. */
function lesser(a: Bounds, b: Bounds, span: Span): Bounds {
  if (isAtMost(a.high, b.low, span)) return a;
  if (isAtMost(b.high, a.low, span)) return b;
  const least = Math.min(extent(a, span)[0], extent(b, span)[0]);
  return {
    low: { slope: 0, constant: least },
    high: extent(a, span)[1] <= extent(b, span)[1] ? a.high : b.high,
  };
}

function isAtMost(a: Line, b: Line, { first, last }: Span): boolean {
  return at(a, first) <= at(b, first) && at(a, last) <= at(b, last);
}
