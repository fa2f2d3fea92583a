/** n · 2^e, exactly. */
export interface Exact {
  readonly n: bigint;
  readonly e: number;
}

/** A binary floating-point format. */
export interface Format {
  readonly bits: number;
  readonly fraction: number;
}

export const FORMATS = {
  f16: { bits: 16, fraction: 10 },
  bf16: { bits: 16, fraction: 7 },
  f32: { bits: 32, fraction: 23 },
  f64: { bits: 64, fraction: 52 },
} as const satisfies Record<string, Format>;

const bias = ({ bits, fraction }: Format) => 2 ** (bits - fraction - 2) - 1;
const exponentMask = ({ bits, fraction }: Format) => 2 ** (bits - fraction - 1) - 1;

/** The value of a format's bits; null for infinities and NaN. */
export function decode(word: bigint, format: Format): Exact | null {
  const { bits, fraction } = format;
  const exponent = Number((word >> BigInt(fraction)) & BigInt(exponentMask(format)));
  if (exponent === exponentMask(format)) return null;
  const rest = word & ((1n << BigInt(fraction)) - 1n);
  const magnitude = exponent === 0 ? rest : rest | (1n << BigInt(fraction));
  const negative = (word >> BigInt(bits - 1)) & 1n;
  return { n: negative ? -magnitude : magnitude, e: Math.max(exponent, 1) - bias(format) - fraction };
}

function align(x: Exact, y: Exact): [bigint, bigint, number] {
  const e = Math.min(x.e, y.e);
  return [x.n << BigInt(x.e - e), y.n << BigInt(y.e - e), e];
}

export function add(x: Exact, y: Exact): Exact {
  const [a, b, e] = align(x, y);
  return { n: a + b, e };
}

export const negate = ({ n, e }: Exact): Exact => ({ n: -n, e });
export const multiply = (x: Exact, y: Exact): Exact => ({ n: x.n * y.n, e: x.e + y.e });

export function compare(x: Exact, y: Exact): number {
  const [a, b] = align(x, y);
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Bits of the nearest number of a format, ties to even; a zero gets the sign given. */
export function encode({ n, e }: Exact, format: Format, negativeZero = false): bigint {
  const { bits, fraction } = format;
  const sign = (n === 0n ? negativeZero : n < 0n) ? 1n << BigInt(bits - 1) : 0n;
  if (n === 0n) return sign;
  const magnitude = n < 0n ? -n : n;
  const quantum = Math.max(magnitude.toString(2).length + e - fraction - 1, 1 - bias(format) - fraction);
  let units: bigint;
  if (e >= quantum) units = magnitude << BigInt(e - quantum);
  else {
    const drop = BigInt(quantum - e);
    const half = 1n << (drop - 1n);
    const rest = magnitude & ((1n << drop) - 1n);
    units = magnitude >> drop;
    if (rest > half || (rest === half && units & 1n)) units += 1n;
  }
  // Units of a normal number carry the implicit one, which adds 1 to the exponent of the smallest quantum.
  const word = units + (BigInt(quantum - (1 - bias(format) - fraction)) << BigInt(fraction));
  const infinity = BigInt(exponentMask(format)) << BigInt(fraction);
  return sign | (word > infinity ? infinity : word);
}

/** Deterministic 64-bit numbers. */
export function random64(seed: number): () => bigint {
  let state = BigInt(seed) * 0x9e3779b97f4a7c15n;
  return () => {
    state = BigInt.asUintN(64, state + 0x9e3779b97f4a7c15n);
    let z = state;
    z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
    z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
    return z ^ (z >> 31n);
  };
}
