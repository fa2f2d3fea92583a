/**
 * Rounding modes of PTX ISA 9.0, section "Floating-Point Rounding Modifiers": to nearest even, to zero, down, up, and to nearest with
 * ties away from zero (`cvt.rna`).
 */
export type Rounding = "rn" | "rz" | "rm" | "rp" | "rna";

const float64 = new Float64Array(1);
const words = new Uint32Array(float64.buffer);
const float32 = new Float32Array(1);
const word = new Int32Array(float32.buffer);

/** 2^e for -1074 ≤ e ≤ 1023. */
const POWERS = Float64Array.from({ length: 2098 }, (_, index) => 2 ** (index - 1074));

function power(exponent: number): number {
  return POWERS[exponent + 1074] ?? 0;
}

/** Rounds a magnitude (0 ≤ x < 2^52) to an integer; `negative` says which way down and up are. */
function roundMagnitude(magnitude: number, negative: boolean, mode: Rounding): number {
  switch (mode) {
    case "rn":
      return magnitude + 4503599627370496 - 4503599627370496;
    case "rz":
      return Math.floor(magnitude);
    case "rm":
      return negative ? Math.ceil(magnitude) : Math.floor(magnitude);
    case "rp":
      return negative ? Math.floor(magnitude) : Math.ceil(magnitude);
    case "rna":
      return Math.floor(magnitude + 0.5);
  }
}

/**
 * Rounds |x| to a format of `fraction` bits whose smallest normal exponent is `minExponent`, and returns the bits of exponent
 * and fraction (no sign). What overflows returns bits past the largest finite number; the caller clamps.
 */
function encodeMagnitude(x: number, fraction: number, minExponent: number, mode: Rounding): number {
  const magnitude = Math.abs(x);
  float64[0] = magnitude;
  let exponent = ((words[1] ?? 0) >>> 20) - 1023;
  if (exponent < minExponent) exponent = minExponent;
  if (exponent > 500) return Number.POSITIVE_INFINITY;
  const units = roundMagnitude(magnitude * power(fraction - exponent), x < 0, mode);
  // A normal number's units carry the implicit one, which adds 1 to the biased exponent; a subnormal's do not.
  return units + (exponent - minExponent) * 2 ** fraction;
}

function clampOverflow(bits: number, infinity: number, negative: boolean, mode: Rounding): number {
  if (bits < infinity) return bits;
  const toZero = mode === "rz" || (mode === "rm" && !negative) || (mode === "rp" && negative);
  return toZero ? infinity - 1 : infinity;
}

/** f16 bits of a number, rounded once; NaN becomes the canonical 0x7FFF. */
export function encodeF16(x: number, mode: Rounding = "rn"): number {
  if (Number.isNaN(x)) return 0x7fff;
  const negative = x < 0 || Object.is(x, -0);
  const sign = negative ? 0x8000 : 0;
  if (x === Number.POSITIVE_INFINITY || x === Number.NEGATIVE_INFINITY) return sign | 0x7c00;
  return sign | clampOverflow(encodeMagnitude(x, 10, -14, mode), 0x7c00, negative, mode);
}

/** bf16 bits of a number, rounded once; NaN becomes the canonical 0x7FFF. */
export function encodeBf16(x: number, mode: Rounding = "rn"): number {
  if (Number.isNaN(x)) return 0x7fff;
  const negative = x < 0 || Object.is(x, -0);
  const sign = negative ? 0x8000 : 0;
  if (x === Number.POSITIVE_INFINITY || x === Number.NEGATIVE_INFINITY) return sign | 0x7f80;
  return sign | clampOverflow(encodeMagnitude(x, 7, -126, mode), 0x7f80, negative, mode);
}

/** tf32 (f32 bits whose low 13 are zero) of a number. */
export function encodeTf32(x: number, mode: Rounding = "rna"): number {
  if (Number.isNaN(x)) return 0x7fffffff;
  const negative = x < 0 || Object.is(x, -0);
  const sign = negative ? 0x80000000 : 0;
  if (x === Number.POSITIVE_INFINITY || x === Number.NEGATIVE_INFINITY) return sign | 0x7f800000;
  const bits = clampOverflow(encodeMagnitude(x, 10, -126, mode), 0x3fc00, negative, mode);
  return sign | (bits << 13);
}

/** The f32 nearest in the given direction to a number (for one that f64 holds exactly). */
export function roundF32(x: number, mode: Rounding): number {
  if (mode === "rn" || x === 0 || !Number.isFinite(x)) return Math.fround(x);
  const negative = x < 0;
  const bits = clampOverflow(encodeMagnitude(x, 23, -126, mode), 0x7f800000, negative, mode);
  word[0] = (negative ? 0x80000000 : 0) | bits;
  return float32[0] ?? 0;
}

function decodeF16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/** Value of every f16 by its bits: decoding is a look-up. */
export const F16: Float32Array = Float32Array.from({ length: 65536 }, (_, bits) => decodeF16(bits));

/** Value of every bf16 by its bits. */
export const BF16: Float32Array = new Float32Array(
  Int32Array.from({ length: 65536 }, (_, bits) => bits << 16).buffer,
);
