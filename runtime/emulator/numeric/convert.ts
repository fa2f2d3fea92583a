import { join64, setHigh } from "./integer.ts";

const float64 = new Float64Array(1);
const wide = new BigInt64Array(float64.buffer);

/** An integral f64 to a 64-bit integer, clamped; NaN gives 2^63. Returns the low word, `takeHigh` the other. */
export function floatTo64(x: number, signed: boolean): number {
  let value: bigint;
  if (Number.isNaN(x)) value = 1n << 63n;
  else if (signed) value = x >= 2 ** 63 ? 2n ** 63n - 1n : x <= -(2 ** 63) ? -(2n ** 63n) : BigInt(x);
  else value = x >= 2 ** 64 ? 2n ** 64n - 1n : x <= 0 ? 0n : BigInt(x);
  setHigh(Number(BigInt.asIntN(32, value >> 32n)));
  return Number(BigInt.asIntN(32, value));
}

export function to64Float(low: number, high: number, signed: boolean): number {
  const value = join64(low, high);
  return Number(signed ? value : BigInt.asUintN(64, value));
}

/** A 64-bit integer as f64, rounded to odd: rounding it again to fewer bits is then right. */
export function to64Odd(low: number, high: number, signed: boolean): number {
  const value = signed ? join64(low, high) : BigInt.asUintN(64, join64(low, high));
  const near = Number(value);
  const error = value - BigInt(near);
  if (error === 0n) return near;
  float64[0] = near;
  if (error > 0n !== near > 0) wide[0] = (wide[0] ?? 0n) - 1n;
  wide[0] = (wide[0] ?? 0n) | 1n;
  return float64[0] ?? 0;
}

/** `.satfinite`: what overflows becomes the largest finite number; NaN stays. */
export function clampFinite(x: number, limit: number): number {
  return x > limit ? limit : x < -limit ? -limit : x;
}
