import { mapInputs } from "./inputs.ts";
import type { StorageType } from "./storage.ts";
import type { AttentionInputs, Float64Tensor } from "./tensor.ts";

/** Storage types that are narrower than f32. */
export type NarrowType = Exclude<StorageType, "f32">;

/** A binary format: sign, exponent, `fraction` bits; everything else follows from IEEE 754. */
interface Format {
  readonly fraction: number;
  /** Smallest exponent of a normal number; subnormals share its quantum. */
  readonly minExponent: number;
  readonly maxExponent: number;
  readonly infinity: number;
  readonly notANumber: number;
}

const FORMATS: Readonly<Record<NarrowType, Format>> = {
  f16: { fraction: 10, minExponent: -14, maxExponent: 15, infinity: 0x7c00, notANumber: 0x7e00 },
  bf16: { fraction: 7, minExponent: -126, maxExponent: 127, infinity: 0x7f80, notANumber: 0x7fc0 },
};

/** 2^e for every exponent that a quantum of the formats can have, exactly. */
const LOWEST_POWER = -133;
const POWERS = Float64Array.from({ length: 128 - LOWEST_POWER }, (_, index) => 2 ** (index + LOWEST_POWER));

function power(exponent: number): number {
  return POWERS[exponent - LOWEST_POWER] ?? 0;
}

const floatView = new Float32Array(1);
const bitsView = new Uint32Array(floatView.buffer);

/**
 * Exponent of |value| as f32 sees it. A value that f32 rounds up to the next power of two gets that one's exponent,
 * which changes nothing: with either quantum it rounds to that power.
 */
function exponentOf(magnitude: number): number {
  floatView[0] = magnitude;
  return (((bitsView[0] ?? 0) >>> 23) & 0xff) - 127;
}

function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest < 0.5) return floor;
  if (rest > 0.5) return floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

/**
 * Bits of the nearest number of the format, ties to even: rounded once, straight from float64. Subnormals are kept, what is
 * half a quantum beyond the largest number becomes ∞, every NaN becomes the one quiet NaN without a sign.
 */
export function encode(type: NarrowType, value: number): number {
  const format = FORMATS[type];
  if (Number.isNaN(value)) return format.notANumber;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  if (magnitude === 0) return sign;
  const exponent = Math.max(exponentOf(magnitude), format.minExponent);
  if (exponent > format.maxExponent) return sign | format.infinity;
  const steps = roundHalfEven(magnitude / power(exponent - format.fraction));
  // The leading bit of a normal number, if there, carries into the exponent field: so does one that rounding made.
  return sign | Math.min(((exponent - format.minExponent) << format.fraction) + steps, format.infinity);
}

/** The number that a pattern of 16 bits stands for; exact. */
export function decode(type: NarrowType, bits: number): number {
  const { fraction, minExponent, infinity } = FORMATS[type];
  const sign = (bits & 0x8000) === 0 ? 1 : -1;
  const pattern = bits & 0x7fff;
  if (pattern === infinity) return sign * Number.POSITIVE_INFINITY;
  if (pattern > infinity) return Number.NaN;
  const field = pattern >>> fraction;
  const mantissa = pattern & ((1 << fraction) - 1);
  if (field === 0) return sign * mantissa * power(minExponent - fraction);
  return sign * (mantissa + (1 << fraction)) * power(field - 1 + minExponent - fraction);
}

/** Bits of every value, one element a 16-bit word. */
export function pack(type: NarrowType, values: ArrayLike<number>): Uint16Array {
  const bits = new Uint16Array(values.length);
  for (let index = 0; index < bits.length; index += 1) bits[index] = encode(type, values[index] ?? 0);
  return bits;
}

/** Inverse of `pack`: both formats are subsets of f32. */
export function unpack(type: NarrowType, bits: ArrayLike<number>): Float32Array {
  const values = new Float32Array(bits.length);
  for (let index = 0; index < values.length; index += 1) values[index] = decode(type, bits[index] ?? 0);
  return values;
}

/** The nearest value that a storage type holds. */
export function roundValue(type: StorageType, value: number): number {
  return type === "f32" ? Math.fround(value) : decode(type, encode(type, value));
}

/** A copy with every value rounded to what the storage type holds. */
export function roundTo(type: StorageType, values: Float64Array): Float64Array;
export function roundTo(type: StorageType, values: Float32Array): Float32Array;
export function roundTo(type: StorageType, values: Float32Array | Float64Array): Float32Array | Float64Array {
  return values.map((value) => roundValue(type, value));
}

/** The inputs as a device sees them that holds q, k, v and the history in the storage type. */
export function roundInputs(
  inputs: AttentionInputs<Float64Tensor>,
  storage: StorageType,
): AttentionInputs<Float64Tensor> {
  return mapInputs(inputs, ({ shape, data }, { element }) => {
    return element === "storage" ? { shape, data: roundTo(storage, data) } : { shape, data };
  });
}
