import { roundF32 } from "../numeric/narrow.ts";

/** Fraction bits that an addend keeps, counted from the largest exponent of its sum. */
const FRACTION = 24;
/** Exponent of a zero: below every other, whatever is added to it. */
const NOTHING = -4096;

const f32 = new Float32Array(1);
const bits = new Int32Array(f32.buffer);

/** Exponent as the format stores it: that of the smallest normal number for a subnormal one. */
function exponentOf(x: number, smallest: number): number {
  if (x === 0) return NOTHING;
  f32[0] = x;
  return Math.max((((bits[0] as number) >>> 23) & 255) - 127, smallest);
}

const SMALLEST = { f16: -14, bf16: -126, tf32: -126 } as const;

/**
 * Products that one addition of the hardware takes, along k: 8 of f16 and bf16 and 4 of tf32 on sm_80 … sm_89, twice as many from
 * sm_90 on. A longer k is summed one such group after the other, each into the rounded result of the one before.
 */
function groupSize(architecture: number, input: keyof typeof SMALLEST): number {
  const wide = architecture >= 90 ? 16 : 8;
  return input === "tf32" ? wide / 2 : wide;
}

const aExponents = new Int32Array(256);
const bExponents = new Int32Array(128);

/**
 * The partial sums of tensor cores, as measured (Fasi, Higham, Mikaitis, Pranesh 2021, "Numerical behavior of NVIDIA tensor cores";
 * NVIDIA documents none of it): the exact products and the accumulator are aligned to the largest of their exponents (a product's is
 * the sum of its factors': 1.5 · 1.5 is not normalised), each is truncated to 24 fraction bits there, the sum of those is exact, and
 * its result is truncated to f32 (rounded to nearest, for f16 accumulators). A model: later architectures may keep more bits, and
 * subnormal and overflowing results are those of truncation in IEEE 754.
 */
export class PartialSums {
  private readonly a: Float64Array;
  private readonly b: Float64Array;
  private group = 16;
  private smallest = -126;

  /** `a` is 16 × 16 and `b` 16 × 8, by rows, as they will be when `prepare` is called. */
  constructor(a: Float64Array, b: Float64Array) {
    this.a = a;
    this.b = b;
  }

  /** Before the sums of one `mma` over the first `k` columns of `a`; `half` says that accumulators are f16. */
  prepare(k: number, input: keyof typeof SMALLEST, half: boolean, architecture: number): void {
    const smallest = SMALLEST[input];
    this.smallest = half ? SMALLEST.f16 : -126;
    this.group = groupSize(architecture, input);
    for (let inner = 0; inner < k; inner++) {
      for (let row = 0; row < 16; row++) {
        aExponents[row * 16 + inner] = exponentOf(this.a[row * 16 + inner] as number, smallest);
      }
      for (let column = 0; column < 8; column++) {
        bExponents[inner * 8 + column] = exponentOf(this.b[inner * 8 + column] as number, smallest);
      }
    }
  }

  /** One element of A · B + C; `round` rounds each group's sum to the accumulator. */
  element(row: number, column: number, start: number, k: number, round: (sum: number) => number): number {
    let accumulator = start;
    for (let first = 0; first < k; first += this.group) {
      const end = Math.min(first + this.group, k);
      accumulator = round(this.sum(row, column, first, end, accumulator));
    }
    return accumulator;
  }

  private sum(row: number, column: number, first: number, end: number, accumulator: number): number {
    const { a, b } = this;
    let largest = exponentOf(accumulator, this.smallest);
    for (let inner = first; inner < end; inner++) {
      const exponent = (aExponents[row * 16 + inner] as number) + (bExponents[inner * 8 + column] as number);
      if (exponent > largest) largest = exponent;
    }
    // Nothing but zeros; a zero times an infinity is a NaN at any scale.
    const scale = largest <= NOTHING / 2 ? 1 : 2 ** (FRACTION - largest);
    let whole = Math.trunc(accumulator * scale);
    for (let inner = first; inner < end; inner++) {
      whole += Math.trunc((a[row * 16 + inner] as number) * (b[inner * 8 + column] as number) * scale);
    }
    return whole / scale;
  }
}

export function truncateToF32(sum: number): number {
  return roundF32(sum, "rz");
}
