import { BF16, encodeF16, F16, roundF32 } from "../numeric/narrow.ts";
import { requireWarp } from "./collective.ts";
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

/** A (16 × 16, by rows) and B (8 columns of 16): unpacked fragments. */
const A = new Float64Array(256);
const B = new Float64Array(128);
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
function unpack(warp: Warp, multiply: MatrixMultiply): void {
  const { I } = warp;
  const { a, b, input } = multiply;
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
        B[(lane >> 2) * 16 + (lane & 3) + 4 * r] = tf32(I[row + lane] as number);
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
      const at = (lane >> 2) * 16 + (lane & 3) * 2 + r * 8;
      B[at] = decode[word & 0xffff] as number;
      B[at + 1] = decode[word >>> 16] as number;
    }
  }
}

/** Product of row `m` of A with column `n` of B, in f64: exact products, summed with no error that f32 would show. */
function dot(m: number, n: number, k: number): number {
  const x = m * 16;
  const y = n * 16;
  let even = (A[x] as number) * (B[y] as number) + (A[x + 2] as number) * (B[y + 2] as number);
  let odd = (A[x + 1] as number) * (B[y + 1] as number) + (A[x + 3] as number) * (B[y + 3] as number);
  if (k === 4) return even + odd;
  even += (A[x + 4] as number) * (B[y + 4] as number) + (A[x + 6] as number) * (B[y + 6] as number);
  odd += (A[x + 5] as number) * (B[y + 5] as number) + (A[x + 7] as number) * (B[y + 7] as number);
  if (k === 8) return even + odd;
  even += (A[x + 8] as number) * (B[y + 8] as number) + (A[x + 10] as number) * (B[y + 10] as number);
  odd += (A[x + 9] as number) * (B[y + 9] as number) + (A[x + 11] as number) * (B[y + 11] as number);
  even += (A[x + 12] as number) * (B[y + 12] as number) + (A[x + 14] as number) * (B[y + 14] as number);
  odd += (A[x + 13] as number) * (B[y + 13] as number) + (A[x + 15] as number) * (B[y + 15] as number);
  return even + odd;
}

/**
 * `mma.sync` of one shape m16n8k(4, 8, 16). The sum is rounded to the accumulator once; real tensor cores align and truncate partial
 * sums, in a way NVIDIA does not document (`truncate` rounds the sum toward zero, which is nearer to what is measured).
 */
export function multiplyMatrices(warp: Warp, mask: number, multiply: MatrixMultiply): void {
  requireWarp(warp, mask, multiply.id);
  unpack(warp, multiply);
  const { F, I, cta } = warp;
  const { c, d, k } = multiply;
  if (multiply.half) {
    multiplyHalf(I, multiply);
    return;
  }
  for (let i = 0; i < 4; i++) {
    const from = (c[i] as number) * 32;
    const to = (d[i] as number) * 32;
    const row = (i >> 1) * 8;
    for (let lane = 0; lane < 32; lane++) {
      const sum = dot(row + (lane >> 2), 2 * (lane & 3) + (i & 1), k) + (F[from + lane] as number);
      F[to + lane] = cta.truncate ? roundF32(sum, "rz") : sum;
    }
  }
}

function multiplyHalf(I: Int32Array, { c, d, k }: MatrixMultiply): void {
  for (let r = 0; r < 2; r++) {
    for (let lane = 0; lane < 32; lane++) {
      const word = I[(c[r] as number) * 32 + lane] as number;
      const [row, column] = [r * 8 + (lane >> 2), 2 * (lane & 3)];
      const low = encodeF16(dot(row, column, k) + (F16[word & 0xffff] as number));
      const high = encodeF16(dot(row, column + 1, k) + (F16[word >>> 16] as number));
      I[(d[r] as number) * 32 + lane] = low | (high << 16);
    }
  }
}
