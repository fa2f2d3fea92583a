import { describe, expect, it } from "vitest";
import { encode } from "../../runtime/contract/rounding.ts";
import { f32Value, f32Word, kernel, launch, wordsOf } from "./harness.ts";

type Input = "f16" | "bf16" | "tf32";

interface Sum {
  readonly type?: Input;
  readonly half?: boolean;
  readonly architecture?: number;
  readonly rounding?: "nearest" | "truncate";
  readonly k?: number;
}

/** Row 0 of A times column 0 of B, plus C: one element of an `mma`; all others are zero. */
function sum(a: readonly number[], b: readonly number[], c: number, options: Sum = {}): number {
  const {
    type = "f16",
    half = false,
    architecture = 80,
    rounding = "truncate",
    k = type === "tf32" ? 8 : 16,
  } = options;
  const narrow = (x: number) => (type === "tf32" ? f32Word(x) : encode(type, x));
  // Lane q holds columns 2q and the next (+ 8) of row 0 of A, and rows 2q and the next of column 0 of B; tf32: column q (+ 4).
  const word = (list: readonly number[], lane: number, step: number) => {
    if (lane > 3) return 0;
    if (type === "tf32") return narrow(list[lane + 4 * step] ?? 0);
    const at = 2 * lane + 8 * step;
    return (narrow(list[at] ?? 0) | (narrow(list[at + 1] ?? 0) << 16)) >>> 0;
  };
  const input = new Uint32Array(32 * 5);
  for (let lane = 0; lane < 32; lane++) {
    for (let step = 0; step < 2; step++) {
      input[step * 32 + lane] = word(a, lane, step);
      input[(2 + step) * 32 + lane] = word(b, lane, step);
    }
  }
  input[128] = half ? encode("f16", c) : f32Word(c);
  const load = (to: string, row: number) => `ld.global.b32 ${to}, [%rd1+${row * 128}];\n`;
  const accumulator = half ? "f16" : "f32";
  const many = k === 16 || type === "tf32";
  const [x, y] = many ? ["{%r10,%r11,%r12,%r11}", "{%r13,%r14}"] : ["{%r10,%r11}", "{%r13}"];
  const z = half ? "{%r15,%r11}" : "{%r15,%r11,%r11,%r11}";
  const d = half ? "{%r20,%r21}" : "{%r20,%r21,%r22,%r23}";
  const text = kernel(`
  mov.u32 %r1, %laneid;
  mul.wide.u32 %rd3, %r1, 4;
  ld.param.u64 %rd1, [p0];
  ld.param.u64 %rd2, [p1];
  add.s64 %rd1, %rd1, %rd3;
  add.s64 %rd2, %rd2, %rd3;
  ${load("%r10", 0)}${load("%r12", 1)}${load("%r13", 2)}${load("%r14", 3)}${load("%r15", 4)}
  mov.u32 %r11, 0;
  mma.sync.aligned.m16n8k${k}.row.col.${accumulator}.${type}.${type}.${accumulator} ${d}, ${x}, ${y}, ${z};
  st.global.b32 [%rd2], %r20;`).replace("sm_100", `sm_${architecture}a`);
  const [, found] = launch(text, [input, 32], { device: { mmaRounding: rounding } }).outputs;
  const [first = 0] = wordsOf(found);
  return half ? first & 0xffff : f32Value(first);
}

/** k numbers that are `rest` beyond those given. */
const filled = (rest: number, ...first: number[]) => Array.from({ length: 16 }, (_, i) => first[i] ?? rest);
const ones = filled(1);

describe("mma, truncated partial sums", () => {
  it("what is exact stays", () => {
    const a = filled(0.5, 1, -2, 3, 0.25);
    for (const architecture of [80, 89, 90, 100]) {
      expect(sum(a, ones, 100, { architecture })).toBe(100 + 2.25 + 6);
      expect(sum(a, ones, 100, { architecture, type: "bf16" })).toBe(108.25);
      expect(sum(a, ones, 100, { architecture, type: "tf32" })).toBe(100 + 2.25 + 2);
    }
  });

  it("the result is truncated, to either side of zero, where nearest rounds", () => {
    // 1 + 3 · 2^-25 keeps 24 fraction bits in the sum: 1 + 2^-24 there, and f32 drops it.
    expect(sum([2 ** -12], [2 ** -12], 1)).toBe(1);
    const a = [2 ** -12, 2 ** -12];
    const b = [2 ** -11, 2 ** -12];
    // 2^-23 + 2^-24 beyond 1.
    expect(sum(a, b, 1, { rounding: "nearest" })).toBe(1 + 2 ** -22);
    expect(sum(a, b, 1)).toBe(1 + 2 ** -23);
    expect(
      sum(
        a,
        b.map((x) => -x),
        -1,
      ),
    ).toBe(-1 - 2 ** -23);
  });

  it("addends lose what lies below 24 fraction bits of the largest exponent, one by one", () => {
    // Sixteen times 2^-24 beyond 1: each is kept, their sums are 2^-21 by halves.
    const tiny = filled(2 ** -12);
    expect(sum(tiny, tiny, 1)).toBe(1 + 2 ** -20);
    // Sixteen times 2^-25: each is dropped; the nearest rounding sees 2^-21.
    const tinier = filled(2 ** -13);
    expect(sum(tinier, tiny, 1)).toBe(1);
    expect(sum(tinier, tiny, 1, { architecture: 90 })).toBe(1);
    expect(sum(tinier, tiny, 1, { rounding: "nearest" })).toBe(1 + 2 ** -21);
    // 1.5 · 2^-24 is cut to 2^-24, of both signs.
    expect(sum(filled(1.5 * 2 ** -12), tiny, 1, { architecture: 90 })).toBe(1 + 2 ** -20);
    expect(sum(filled(-1.5 * 2 ** -12), tiny, 1, { architecture: 90 })).toBe(1 - 2 ** -20);
  });

  it("the accumulator is aligned like the products", () => {
    // 2^10 by a product; the accumulator keeps down to 2^-14.
    expect(sum([32, -32], [32, 32], 2 ** -14 + 2 ** -15)).toBe(2 ** -14);
    expect(sum([32, -32], [32, 32], 2 ** -15)).toBe(0);
    expect(sum([32, -32], [32, 32], -(2 ** -14) - 2 ** -15)).toBe(-(2 ** -14));
  });

  it("sm_80 sums two halves of k, sm_90 all of it at once", () => {
    // The large products cancel in the second half only: the first half's sum is truncated to f32 before.
    const large = Array.from({ length: 16 }, (_, i) =>
      i === 7 ? 2 ** 12 : i === 8 ? -(2 ** 12) : i === 0 ? 2 ** -12 : 0,
    );
    const other = Array.from({ length: 16 }, (_, i) => (i === 7 || i === 8 ? 2 ** 12 : 1));
    // 2^24 and 2^-12: gone at once in both. With 2^0: 24 fraction bits of the sum keep it, the f32 between the halves does too.
    expect(sum(large, other, 0)).toBe(0);
    // 2^24 + 1 does not fit f32: the first half of sm_80 loses it, the one sum of sm_90 keeps it.
    large[0] = 1;
    expect(sum(large, other, 0)).toBe(0);
    expect(sum(large, other, 0, { architecture: 89 })).toBe(0);
    expect(sum(large, other, 0, { architecture: 90 })).toBe(1);
    // Both large ones in one half: no difference. (m16n8k8 is one half.)
    const [close, same] = [
      [1, 2 ** 12, -(2 ** 12)],
      [1, 2 ** 12, 2 ** 12],
    ];
    expect(sum(close, same, 0)).toBe(1);
    expect(sum(close, same, 0, { k: 8, architecture: 90 })).toBe(1);
    // tf32: four on sm_80, eight on sm_90.
    const spread = [1, 0, 0, 2 ** 12, -(2 ** 12)];
    const spreadOther = [1, 0, 0, 2 ** 12, 2 ** 12];
    expect(sum(spread, spreadOther, 0, { type: "tf32" })).toBe(0);
    expect(sum(spread, spreadOther, 0, { type: "tf32", architecture: 90 })).toBe(1);
  });

  it("a product's exponent is the sum of its factors', not that of its normalised value", () => {
    // 1.5 · 1.5 = 2.25 has exponent 0 here: 2^-24 still counts. As 2.25 = 1.125 · 2 it would be cut.
    const a = [1.5, -1.5, 2 ** -12];
    const b = [1.5, 1.5, 2 ** -12];
    expect(sum(a, b, 0)).toBe(2 ** -24);
    expect(sum([2, -2, 2 ** -12], [1, 1, 2 ** -12], 0)).toBe(0);
  });

  it("subnormal operands keep their bits, at the exponent of the smallest normal one", () => {
    const smallest = 2 ** -24;
    expect(sum([smallest], [1], 0)).toBe(smallest);
    // As stored, 2^-24 has exponent -14: 24 fraction bits below are 2^-38.
    expect(sum([smallest, smallest], [1, 2 ** -14], 0)).toBe(smallest + 2 ** -38);
    expect(sum([smallest, smallest], [1, 2 ** -14 / 2], 0)).toBe(smallest);
  });

  it("f16 accumulators are rounded to nearest after each sum", () => {
    // 1 + 2^-11 + 2^-12 lies nearer to 1 + 2^-10; a tie goes to the even one.
    expect(sum([2 ** -11, 2 ** -12], [1, 1], 1, { half: true })).toBe(encode("f16", 1 + 2 ** -10));
    expect(sum([2 ** -11], [1], 1, { half: true })).toBe(encode("f16", 1));
    // A tie in each half of sm_80; on sm_90 both make one bit.
    const apart = Array.from({ length: 16 }, (_, i) => (i === 0 || i === 8 ? 2 ** -11 : 0));
    expect(sum(apart, ones, 1, { half: true })).toBe(encode("f16", 1));
    expect(sum(apart, ones, 1, { half: true, architecture: 90 })).toBe(encode("f16", 1 + 2 ** -10));
  });

  it("infinities, NaN and zeros", () => {
    const none = Number.POSITIVE_INFINITY;
    expect(sum([none, 1], [1, 1], 1)).toBe(none);
    expect(sum([none], [0], 0)).toBeNaN();
    expect(sum([none, -none], [1, 1], 0)).toBeNaN();
    expect(sum([0], [0], 0)).toBe(0);
    expect(sum([0], [5], -3)).toBe(-3);
  });
});
