import { BF16, encodeF16, F16 } from "../numeric/narrow.ts";
import { requireWarp } from "./collective.ts";
import { PartialSums, truncateToF32 } from "./partial-sums.ts";
import type { Warp } from "./warp.ts";

/** What one `mma.sync` computes and its registers' rows. */
export interface MatrixMultiply {
  readonly id: number;
  readonly k: 4 | 8 | 16;
  readonly input: "f16" | "bf16" | "tf32";
  /** Accumulators of f16 lie two in a register. */
  readonly half: boolean;
  readonly d: readonly number[];
  readonly a: readonly number[];
  readonly b: readonly number[];
  readonly c: readonly number[];
}

/** A (16 × 16) and B (16 × 8), unpacked fragments, and their product (16 × 8), all by rows. */
const A = new Float64Array(256);
const B = new Float64Array(128);
const PRODUCT = new Float64Array(128);
const PARTIAL = new PartialSums(A, B);
const f32 = new Float32Array(1);
const bits = new Int32Array(f32.buffer);

/** tf32 operands: the low 13 bits of an f32 register are ignored. */
function tf32(word: number): number {
  bits[0] = word & ~0x1fff;
  return f32[0] as number;
}

/**
 * Fragments (PTX ISA 9.0, "Matrix Fragments for mma.m16n8k16 with floating point type" and its neighbours): with g = lane / 4 and
 * q = lane % 4, register r of A holds rows g + 8(r & 1), columns 2q + 8(r >> 1) and the next; register r of B rows 2q + 8r and
 * the next of column g. tf32 registers hold one element: column (row of B) q + 4(r >> 1) (q + 4r).
 */
function unpack(warp: Warp, operation: MatrixMultiply): void {
  const { I } = warp;
  const { a, b, input } = operation;
  if (input === "tf32") {
    for (let r = 0; r < a.length; r++) {
      const row = (a[r] as number) * 32;
      for (let lane = 0; lane < 32; lane++) {
        A[((lane >> 2) + 8 * (r & 1)) * 16 + (lane & 3) + 4 * (r >> 1)] = tf32(I[row + lane] as number);
      }
    }
    for (let r = 0; r < b.length; r++) {
      const row = (b[r] as number) * 32;
      for (let lane = 0; lane < 32; lane++)
        B[((lane & 3) + 4 * r) * 8 + (lane >> 2)] = tf32(I[row + lane] as number);
    }
    return;
  }
  const decode = input === "f16" ? F16 : BF16;
  for (let r = 0; r < a.length; r++) {
    const row = (a[r] as number) * 32;
    const base = (r & 1) * 128 + (r >> 1) * 8;
    for (let lane = 0; lane < 32; lane++) {
      const word = I[row + lane] as number;
      const at = base + (lane >> 2) * 16 + (lane & 3) * 2;
      A[at] = decode[word & 0xffff] as number;
      A[at + 1] = decode[word >>> 16] as number;
    }
  }
  for (let r = 0; r < b.length; r++) {
    const row = (b[r] as number) * 32;
    for (let lane = 0; lane < 32; lane++) {
      const word = I[row + lane] as number;
      const at = ((lane & 3) * 2 + r * 8) * 8 + (lane >> 2);
      B[at] = decode[word & 0xffff] as number;
      B[at + 8] = decode[word >>> 16] as number;
    }
  }
}

/**
 * A · B over the first `k` columns of A, in f64: products are exact, their sum errs by less than f32 shows. Two rows by four columns at
 * a time, so that every element loaded serves several products.
 */
function multiply(k: number): void {
  for (let row = 0; row < 16; row += 2) {
    for (let column = 0; column < 8; column += 4) {
      let c0 = 0;
      let c1 = 0;
      let c2 = 0;
      let c3 = 0;
      let d0 = 0;
      let d1 = 0;
      let d2 = 0;
      let d3 = 0;
      for (let inner = 0; inner < k; inner++) {
        const upper = A[row * 16 + inner] as number;
        const lower = A[row * 16 + 16 + inner] as number;
        const at = inner * 8 + column;
        const b0 = B[at] as number;
        const b1 = B[at + 1] as number;
        const b2 = B[at + 2] as number;
        const b3 = B[at + 3] as number;
        c0 += upper * b0;
        c1 += upper * b1;
        c2 += upper * b2;
        c3 += upper * b3;
        d0 += lower * b0;
        d1 += lower * b1;
        d2 += lower * b2;
        d3 += lower * b3;
      }
      const to = row * 8 + column;
      PRODUCT[to] = c0;
      PRODUCT[to + 1] = c1;
      PRODUCT[to + 2] = c2;
      PRODUCT[to + 3] = c3;
      PRODUCT[to + 8] = d0;
      PRODUCT[to + 9] = d1;
      PRODUCT[to + 10] = d2;
      PRODUCT[to + 11] = d3;
    }
  }
}

/**
 * `mma.sync` of one shape m16n8k(4, 8, 16). The sum is rounded to the accumulator once; real tensor cores align and truncate partial
 * sums, which `truncate` models (`PartialSums`).
 */
export function multiplyMatrices(warp: Warp, mask: number, operation: MatrixMultiply): void {
  requireWarp(warp, mask, operation.id);
  unpack(warp, operation);
  const { F, I, cta } = warp;
  if (cta.truncate) {
    multiplyTruncated(warp, operation);
    return;
  }
  multiply(operation.k);
  const { c, d } = operation;
  if (operation.half) {
    accumulateHalf(I, operation);
    return;
  }
  for (let i = 0; i < 4; i++) {
    const from = (c[i] as number) * 32;
    const to = (d[i] as number) * 32;
    const row = (i >> 1) * 8;
    for (let lane = 0; lane < 32; lane++) {
      const sum =
        (PRODUCT[(row + (lane >> 2)) * 8 + 2 * (lane & 3) + (i & 1)] as number) + (F[from + lane] as number);
      F[to + lane] = sum;
    }
  }
}

function accumulateHalf(I: Int32Array, { c, d }: MatrixMultiply): void {
  for (let r = 0; r < 2; r++) {
    for (let lane = 0; lane < 32; lane++) {
      const word = I[(c[r] as number) * 32 + lane] as number;
      const at = (r * 8 + (lane >> 2)) * 8 + 2 * (lane & 3);
      const low = encodeF16((PRODUCT[at] as number) + (F16[word & 0xffff] as number));
      const high = encodeF16((PRODUCT[at + 1] as number) + (F16[word >>> 16] as number));
      I[(d[r] as number) * 32 + lane] = low | (high << 16);
    }
  }
}

const nearestF16 = (sum: number) => F16[encodeF16(sum)] as number;

function multiplyTruncated({ I, F, cta }: Warp, { k, input, half, c, d }: MatrixMultiply): void {
  PARTIAL.prepare(k, input, half, cta.kernel.architecture);
  for (let i = 0; i < (half ? 2 : 4); i++) {
    const from = (c[i] as number) * 32;
    const to = (d[i] as number) * 32;
    const rowOf = (half ? i : i >> 1) * 8;
    for (let lane = 0; lane < 32; lane++) {
      const row = rowOf + (lane >> 2);
      const column = 2 * (lane & 3);
      if (!half) {
        F[to + lane] = PARTIAL.element(row, column + (i & 1), F[from + lane] as number, k, truncateToF32);
        continue;
      }
      const word = I[from + lane] as number;
      const low = PARTIAL.element(row, column, F16[word & 0xffff] as number, k, nearestF16);
      const high = PARTIAL.element(row, column + 1, F16[word >>> 16] as number, k, nearestF16);
      I[to + lane] = encodeF16(low) | (encodeF16(high) << 16);
    }
  }
}
