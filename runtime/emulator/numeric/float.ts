import { type Rounding, roundF32 } from "./narrow.ts";

const float64 = new Float64Array(1);
const words = new Int32Array(float64.buffer);
const wide = new BigInt64Array(float64.buffer);
const fround = Math.fround;

/**
 * f32 fused multiply-add, rounded once. The product of two f32 is exact in f64; the sum rounds there, and rounding that to f32 errs
 * only where the f64 sum lies midway between two f32 and is inexact itself: then the sum's error decides.
 */
export function fmaF32(a: number, b: number, c: number): number {
  const product = a * b;
  const sum = product + c;
  const near = fround(sum);
  const distance = sum - near;
  // Beyond the largest f32 there is no neighbour on the other side.
  if (distance === 0 || !Number.isFinite(near)) return near;
  const other = sum + distance;
  if (fround(other) !== other || Number.isNaN(other)) return near;
  const part = sum - product;
  const error = product - (sum - part) + (c - part);
  if (error === 0) return near;
  return error > 0 === other > near ? other : near;
}

/** Turns an inexact f64 into the neighbour with an odd last bit, on the side where the exact value is: rounding further is then right. */
function toOdd(value: number, error: number): number {
  if (error === 0 || Number.isNaN(error) || !Number.isFinite(value)) return value;
  float64[0] = value;
  if (error > 0 !== value > 0) wide[0] = (wide[0] ?? 0n) - 1n;
  words[0] = (words[0] ?? 0) | 1;
  return float64[0] ?? 0;
}

/** a·b + c in f64, rounded to odd where inexact; for operands of f32 or less, whose products are exact. */
export function fmaToOdd(a: number, b: number, c: number): number {
  const product = a * b;
  const sum = product + c;
  const part = sum - product;
  return toOdd(sum, product - (sum - part) + (c - part));
}

/** f32 a·b + c in a directed rounding mode. */
export function fmaF32Mode(a: number, b: number, c: number, mode: Rounding): number {
  const exact = fmaToOdd(a, b, c);
  // An exact cancellation is -0 when rounding down (IEEE 754, section 6.3).
  if (exact === 0 && mode === "rm" && a * b !== 0) return -0;
  return roundF32(exact, mode);
}

export function addF32Mode(a: number, b: number, mode: Rounding): number {
  const sum = a + b;
  if (sum === 0 && mode === "rm" && a !== 0) return -0;
  const part = sum - a;
  return roundF32(toOdd(sum, a - (sum - part) + (b - part)), mode);
}

export function divF32Mode(a: number, b: number, mode: Rounding): number {
  const quotient = a / b;
  if (!Number.isFinite(quotient) || quotient === 0) return fround(quotient);
  const rest = remainderSign(a, quotient, b);
  return roundF32(toOdd(quotient, rest), mode);
}

export function sqrtF32Mode(a: number, mode: Rounding): number {
  const root = Math.sqrt(a);
  if (!Number.isFinite(root) || root === 0) return fround(root);
  return roundF32(toOdd(root, remainderSign(a, root, root)), mode);
}

/** Sign of (a - q·b)·sign(b): where the exact quotient lies from q. */
function remainderSign(a: number, q: number, b: number): number {
  const rest = fmaF64(-q, b, a);
  return b < 0 ? -rest : rest;
}

/** Splits a finite f64 into an integer and an exponent of two. */
function split(x: number): { mantissa: bigint; exponent: number } {
  float64[0] = x;
  const bits = BigInt.asUintN(64, wide[0] ?? 0n);
  const biased = Number((bits >> 52n) & 2047n);
  const fraction = bits & 0xfffffffffffffn;
  const magnitude = biased === 0 ? fraction : fraction | (1n << 52n);
  return { mantissa: x < 0 ? -magnitude : magnitude, exponent: Math.max(biased, 1) - 1075 };
}

/** f64 fused multiply-add, exact before its one rounding (big integers: rare in these kernels). */
export function fmaF64(a: number, b: number, c: number): number {
  const plain = a * b + c;
  if (!Number.isFinite(a) || !Number.isFinite(b) || !Number.isFinite(c) || a === 0 || b === 0) return plain;
  const [x, y, z] = [split(a), split(b), split(c)];
  const product = x.mantissa * y.mantissa;
  const productExponent = x.exponent + y.exponent;
  const exponent = Math.min(productExponent, z.exponent);
  const sum = (product << BigInt(productExponent - exponent)) + (z.mantissa << BigInt(z.exponent - exponent));
  if (sum === 0n) return plain === 0 ? plain : 0;
  return composeF64(sum, exponent);
}

/** integer · 2^exponent, rounded to the nearest f64. */
function composeF64(integer: bigint, exponent: number): number {
  const negative = integer < 0n;
  let magnitude = negative ? -integer : integer;
  const length = magnitude.toString(2).length;
  // Bits below the last one kept: of a normal number's 53, or of the subnormals' common quantum 2^-1074.
  const drop = Math.max(length - 53, -1074 - exponent);
  let scale = exponent;
  if (drop > 0) {
    const shift = BigInt(drop);
    const rest = magnitude & ((1n << shift) - 1n);
    const half = 1n << (shift - 1n);
    magnitude >>= shift;
    if (rest > half || (rest === half && (magnitude & 1n) === 1n)) magnitude += 1n;
    scale += drop;
  }
  // Two exact steps: one power of two may not be a number where the product is.
  const first = Math.trunc(scale / 2);
  const value = Number(magnitude) * 2 ** first * 2 ** (scale - first);
  return negative ? -value : value;
}

/** Flushes subnormal f32 to zero of the same sign (`.ftz`). */
export function flush(x: number): number {
  return x < 1.1754943508222875e-38 && x > -1.1754943508222875e-38 ? x * 0 : x;
}

/** `.sat`: to [0, 1], NaN to +0. */
export function saturate(x: number): number {
  return x > 0 ? (x < 1 ? x : 1) : 0;
}

/** min and max of PTX: the other operand where one is NaN, -0 below +0. */
export function minNumber(a: number, b: number): number {
  if (Number.isNaN(a)) return b;
  if (Number.isNaN(b)) return a;
  return Math.min(a, b);
}

export function maxNumber(a: number, b: number): number {
  if (Number.isNaN(a)) return b;
  if (Number.isNaN(b)) return a;
  return Math.max(a, b);
}

/** Rounds to an integer, ties to even. */
export function roundEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  if (rest < 0.5 || !Number.isFinite(x)) return floor === 0 && x < 0 ? -0 : floor;
  const up = rest > 0.5 || floor % 2 !== 0 ? floor + 1 : floor;
  return up === 0 && x < 0 ? -0 : up;
}

export function f64Low(x: number): number {
  float64[0] = x;
  return words[0] ?? 0;
}

export function f64High(x: number): number {
  float64[0] = x;
  return words[1] ?? 0;
}

export function f64Of(low: number, high: number): number {
  words[0] = low;
  words[1] = high;
  return float64[0] ?? 0;
}

const float32 = new Float32Array(1);
const bits32 = new Int32Array(float32.buffer);

export function f32Bits(x: number): number {
  float32[0] = x;
  return bits32[0] ?? 0;
}

export function f32Of(bits: number): number {
  bits32[0] = bits;
  return float32[0] ?? 0;
}
