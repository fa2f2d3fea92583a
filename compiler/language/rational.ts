/** Exact fractions, so that `(0.1 * 30)` is the integer 3 and `(1/3 * 3)` is 1. Always reduced, the denominator positive. */
export interface Rational {
  readonly numerator: bigint;
  readonly denominator: bigint;
}

/** Numbers with more digits than this are refused: a chain of squares must not grow without end. */
const MAX_BITS = 4096;
const MAX_EXPONENT = 400;

function gcd(a: bigint, b: bigint): bigint {
  let [x, y] = [a < 0n ? -a : a, b];
  while (y !== 0n) [x, y] = [y, x % y];
  return x;
}

function bitLength(value: bigint): number {
  return (value < 0n ? -value : value).toString(16).length * 4;
}

/** Null when the number would be too large. */
function rational(numerator: bigint, denominator: bigint): Rational | null {
  const divisor = gcd(numerator, denominator);
  const reduced = { numerator: numerator / divisor, denominator: denominator / divisor };
  if (bitLength(reduced.numerator) > MAX_BITS || bitLength(reduced.denominator) > MAX_BITS) return null;
  return Number.isFinite(toNumber(reduced)) ? reduced : null;
}

/** Reads a number as the lexer accepts it; null when it is too large for any use. */
export function parseRational(text: string): Rational | null {
  const match = /^(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/i.exec(text);
  if (match === null || text.length > MAX_BITS / 4) return null;
  const [, whole = "0", fraction = "", exponentText = "0"] = match;
  const digits = BigInt(whole + fraction);
  if (digits === 0n) return { numerator: 0n, denominator: 1n };
  const exponent = Number(exponentText) - fraction.length;
  if (Math.abs(exponent) > MAX_EXPONENT + fraction.length) return null;
  return exponent >= 0
    ? rational(digits * 10n ** BigInt(exponent), 1n)
    : rational(digits, 10n ** BigInt(-exponent));
}

export function negate(value: Rational): Rational {
  return { numerator: -value.numerator, denominator: value.denominator };
}

export function add(a: Rational, b: Rational): Rational | null {
  return rational(a.numerator * b.denominator + b.numerator * a.denominator, a.denominator * b.denominator);
}

export function subtract(a: Rational, b: Rational): Rational | null {
  return add(a, negate(b));
}

export function multiply(a: Rational, b: Rational): Rational | null {
  return rational(a.numerator * b.numerator, a.denominator * b.denominator);
}

/** The caller has made sure that `b` is not zero. */
export function divide(a: Rational, b: Rational): Rational | null {
  const sign = b.numerator < 0n ? -1n : 1n;
  return rational(sign * a.numerator * b.denominator, sign * a.denominator * b.numerator);
}

export function isInteger(value: Rational): boolean {
  return value.denominator === 1n;
}

/** The nearest double. */
export function toNumber({ numerator, denominator }: Rational): number {
  if (denominator === 1n) return Number(numerator);
  const shift = Math.max(0, bitLength(denominator) - bitLength(numerator) + 72);
  const scaled = (numerator < 0n ? -numerator : numerator) << BigInt(shift);
  // A last bit that stands for the rest makes Number() round as the exact value would.
  const sticky = scaled % denominator === 0n ? 0n : 1n;
  const quotient = Number(((scaled / denominator) << 1n) | sticky);
  // Two steps: 2 ** -shift alone may be too small for a double.
  const half = Math.floor((shift + 1) / 2);
  const magnitude = quotient * 2 ** -half * 2 ** -(shift + 1 - half);
  return numerator < 0n ? -magnitude : magnitude;
}
