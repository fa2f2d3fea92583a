import { describe, expect, it } from "vitest";
import { encode } from "../../runtime/contract/rounding.ts";
import { f32Value, f32Word, f64Words, lanes, randomWords } from "./harness.ts";

const f32 = (values: readonly number[]) => Uint32Array.from(values, f32Word);
const NAN_WORD = 0x7fffffff;

/** Results of a body on f32 inputs, lane by lane. */
function run(body: string, ...inputs: readonly (readonly number[])[]): number[] {
  const [found] = lanes(body, inputs.map(f32), 1);
  return Array.from(found ?? [], f32Value).slice(0, inputs[0]?.length);
}

const words = (body: string, ...inputs: readonly (readonly number[])[]) =>
  [...(lanes(body, inputs.map(f32), 1)[0] ?? [])].slice(0, inputs[0]?.length);

/** Rounds an exact fraction n·2^e to f32, ties to even, with big integers. */
function exactF32(n: bigint, e: number): number {
  if (n === 0n) return 0;
  const negative = n < 0n;
  const magnitude = negative ? -n : n;
  const drop = Math.max(magnitude.toString(2).length - 24, -149 - e);
  let kept = magnitude;
  let exponent = e;
  if (drop > 0) {
    const rest = magnitude & ((1n << BigInt(drop)) - 1n);
    const half = 1n << BigInt(drop - 1);
    kept = magnitude >> BigInt(drop);
    if (rest > half || (rest === half && kept & 1n)) kept += 1n;
    exponent += drop;
  }
  return (negative ? -1 : 1) * Number(kept) * 2 ** exponent;
}

describe("f32 arithmetic", () => {
  it("a fused multiply-add is rounded once", () => {
    const cases: [bigint, bigint, bigint, number, number, number][] = [];
    let state = 7n;
    const next = (bits: number) => {
      state = (state * 6364136223846793005n + 1442695040888963407n) & ((1n << 64n) - 1n);
      return (state >> 33n) & ((1n << BigInt(bits)) - 1n);
    };
    // Sums whose tail lies far below a midpoint: where rounding twice goes wrong.
    for (let index = 0; index < 16; index++)
      cases.push([(1n << 23n) + next(22), (1n << 23n) + next(22), next(20), -23, -23, -100]);
    for (let index = 0; index < 16; index++) {
      cases.push([
        (1n << 12n) + 1n,
        (1n << 12n) - 1n,
        index % 2 ? next(5) : -next(5),
        -12,
        -(12 + (index % 4)),
        -80 - index,
      ]);
    }
    const value = (n: bigint, e: number) => Number(n) * 2 ** e;
    const found = run(
      "fma.rn.f32 %d0, %a0, %a1, %a2;",
      cases.map(([a, , , e]) => value(a, e)),
      cases.map(([, b, , , e]) => value(b, e)),
      cases.map(([, , c, , , e]) => value(c, e)),
    );
    const want = cases.map(([a, b, c, ea, eb, ec]) => exactF32(((a * b) << BigInt(ea + eb - ec)) + c, ec));
    expect(found).toEqual(want);
  });

  it("a fused multiply-add at midpoints of f32", () => {
    // 1 + 2^-24 is midway between 1 and 1 + 2^-23; the addend's sign decides.
    const [a, b] = [1 + 2 ** -12, 1 - 2 ** -12];
    // a·b = 1 - 2^-24, midway below 1.
    expect(run("fma.rn.f32 %d0, %a0, %a1, %a2;", [a, a, a], [b, b, b], [0, 2 ** -90, -(2 ** -90)])).toEqual([
      1 - 2 ** -24,
      1 - 2 ** -24,
      1 - 2 ** -24,
    ]);
    const [c, d] = [Math.fround(1 + 2 ** -23), Math.fround(1 + 2 ** -1)];
    const exact = (tail: bigint) => exactF32(((((1n << 23n) + 1n) * 3n) << 76n) + tail, -100);
    expect(run("fma.rn.f32 %d0, %a0, %a1, %a2;", [c, c, c], [d, d, d], [0, 2 ** -100, -(2 ** -100)])).toEqual(
      [exact(0n), exact(1n), exact(-1n)],
    );
  });

  it("adds, multiplies and divides as f32 does", () => {
    const a = [...randomWords(5)].map((word) => f32Value((word & 0x807fffff) | 0x3f000000));
    const b = [...randomWords(6)].map((word) => f32Value((word & 0x807fffff) | 0x3e000000));
    expect(run("add.f32 %d0, %a0, %a1;", a, b)).toEqual(a.map((x, i) => Math.fround(x + (b[i] ?? 0))));
    expect(run("sub.rn.f32 %d0, %a0, %a1;", a, b)).toEqual(a.map((x, i) => Math.fround(x - (b[i] ?? 0))));
    expect(run("mul.f32 %d0, %a0, %a1;", a, b)).toEqual(a.map((x, i) => Math.fround(x * (b[i] ?? 0))));
    expect(run("div.rn.f32 %d0, %a0, %a1;", a, b)).toEqual(a.map((x, i) => Math.fround(x / (b[i] ?? 0))));
    expect(run("sqrt.rn.f32 %d0, %a0;", [2, 4, 0, 1e-40])).toEqual(
      [2, 4, 0, Math.fround(1e-40)].map((x) => Math.fround(Math.sqrt(x))),
    );
  });

  it("directed roundings", () => {
    const tiny = 2 ** -60;
    expect(run("add.rz.f32 %d0, %a0, %a1;", [1, 1, -1], [tiny, -tiny, tiny])).toEqual([
      1,
      1 - 2 ** -24,
      -1 + 2 ** -24,
    ]);
    expect(run("add.rp.f32 %d0, %a0, %a1;", [1, 1, -1], [tiny, -tiny, tiny])).toEqual([
      1 + 2 ** -23,
      1,
      -1 + 2 ** -24,
    ]);
    expect(run("add.rm.f32 %d0, %a0, %a1;", [1, 1, -1], [tiny, -tiny, tiny])).toEqual([1, 1 - 2 ** -24, -1]);
    const third = 1 / 3;
    const down = run("div.rm.f32 %d0, %a0, %a1;", [1, -1], [3, 3]);
    const up = run("div.rp.f32 %d0, %a0, %a1;", [1, -1], [3, 3]);
    expect((down[0] ?? 0) < third && third < (up[0] ?? 0)).toBe(true);
    expect((down[1] ?? 0) < -third && -third < (up[1] ?? 0)).toBe(true);
    expect(run("mul.rz.f32 %d0, %a0, %a1;", [1 + 2 ** -23], [1 + 2 ** -23])).toEqual([1 + 2 ** -22]);
    expect(run("fma.rp.f32 %d0, %a0, %a1, %a2;", [1], [1], [tiny])).toEqual([1 + 2 ** -23]);
  });

  it("flushes subnormals only where told, and saturates", () => {
    expect(run("add.f32 %d0, %a0, %a1;", [1e-40], [1e-40])).toEqual([Math.fround(Math.fround(1e-40) * 2)]);
    expect(words("add.ftz.f32 %d0, %a0, %a1;", [1e-40, -1e-40], [1e-40, -1e-40])).toEqual([0, 0x80000000]);
    expect(run("add.sat.f32 %d0, %a0, %a1;", [0.5, 3, -2, Number.NaN], [0.25, 0, 0, 0])).toEqual([
      0.75, 1, 0, 0,
    ]);
  });

  it("min and max prefer numbers, .NaN does not", () => {
    expect(run("min.f32 %d0, %a0, %a1;", [1, Number.NaN, 3, -0], [2, 5, Number.NaN, 0])).toEqual([
      1, 5, 3, -0,
    ]);
    expect(run("max.NaN.f32 %d0, %a0, %a1;", [1, Number.NaN], [2, 5])).toEqual([2, Number.NaN]);
    expect(run("max.f32 %d0, %a0, %a1, %a2;", [1, 9], [2, 5], [7, 1])).toEqual([7, 9]);
  });

  it("special functions", () => {
    expect(run("ex2.approx.ftz.f32 %d0, %a0;", [0, 10, -1, Number.NEGATIVE_INFINITY, -1e30])).toEqual([
      1, 1024, 0.5, 0, 0,
    ]);
    expect(run("lg2.approx.f32 %d0, %a0;", [8, 0.25, 0])).toEqual([3, -2, Number.NEGATIVE_INFINITY]);
    expect(run("rcp.approx.ftz.f32 %d0, %a0;", [4, -0])).toEqual([0.25, Number.NEGATIVE_INFINITY]);
    expect(run("rsqrt.approx.f32 %d0, %a0;", [4, 16])).toEqual([0.5, 0.25]);
    expect(run("tanh.approx.f32 %d0, %a0;", [0, 100])).toEqual([0, 1]);
    expect(run("sin.approx.f32 %d0, %a0;", [1])).toEqual([Math.fround(Math.sin(1))]);
    expect(run("neg.f32 %d0, %a0;", [1, 0])).toEqual([-1, -0]);
    expect(run("copysign.f32 %d0, %a0, %a1;", [-1, 1], [5, -6])).toEqual([-5, 6]);
  });

  it("comparisons with NaN", () => {
    const compare = (operator: string) =>
      [
        ...(lanes(
          `setp.${operator}.f32 %p1, %a0, %a1; selp.b32 %d0, 1, 0, %p1;`,
          [f32([1, 2, Number.NaN]), f32([1, 1, 1])],
          1,
        )[0] ?? []),
      ].slice(0, 3);
    expect(compare("eq")).toEqual([1, 0, 0]);
    expect(compare("ne")).toEqual([0, 1, 0]);
    expect(compare("neu")).toEqual([0, 1, 1]);
    expect(compare("lt")).toEqual([0, 0, 0]);
    expect(compare("ltu")).toEqual([0, 0, 1]);
    expect(compare("geu")).toEqual([1, 1, 1]);
    expect(compare("num")).toEqual([1, 1, 0]);
    expect(compare("nan")).toEqual([0, 0, 1]);
  });

  it("moves keep the bits of a NaN", () => {
    const [found] = lanes("mov.b32 %f1, %a0; mov.f32 %f2, %f1; mov.b32 %d0, %f2;", [[0x7fa00001]], 1);
    expect(found?.[0]).toBe(0x7fa00001);
    expect(words("mov.f32 %f1, 0f3F800000; add.f32 %d0, %f1, %a0;", [1])).toEqual([f32Word(2)]);
  });
});

describe("conversions", () => {
  const halves = [
    1,
    1 + 2 ** -11,
    1 + 3 * 2 ** -11,
    65519.99,
    65520,
    2 ** -25,
    2 ** -25 * 1.0001,
    3e-8,
    -1e-30,
    2 ** -14 - 2 ** -26,
    Number.POSITIVE_INFINITY,
  ];
  it("f32 to f16 and bf16 to nearest even", () => {
    const value = halves.map(Math.fround);
    expect(words("{.reg .b16 h; cvt.rn.f16.f32 h, %a0; cvt.u32.u16 %d0, h;}", value)).toEqual(
      value.map((x) => encode("f16", x)),
    );
    expect(words("{.reg .b16 h; cvt.rn.bf16.f32 h, %a0; cvt.u32.u16 %d0, h;}", value)).toEqual(
      value.map((x) => encode("bf16", x)),
    );
    expect(words("cvt.rn.f16x2.f32 %d0, %a0, %a1;", [1], [-2])).toEqual([0x3c00c000]);
    expect(words("cvt.rn.bf16x2.f32 %d0, %a0, %a1;", [1], [-2])).toEqual([0x3f80c000]);
    expect(words("cvt.rn.relu.f16x2.f32 %d0, %a0, %a1;", [-1], [2])).toEqual([0x4000]);
    expect(words("{.reg .b16 h; cvt.rn.f16.f32 h, %a0; cvt.u32.u16 %d0, h;}", [Number.NaN])).toEqual([
      0x7fff,
    ]);
    expect(
      words("{.reg .b16 h; cvt.rz.f16.f32 h, %a0; cvt.u32.u16 %d0, h;}", [1 + 2 ** -10.5, 70000, -70000]),
    ).toEqual([0x3c00, 0x7bff, 0xfbff]);
  });

  it("f16 back to f32, and f64", () => {
    expect(run("{.reg .b16 h; cvt.rn.f16.f32 h, %a0; cvt.f32.f16 %d0, h;}", [-0.1, 2 ** -24, 65504])).toEqual(
      [-0.0999755859375, 2 ** -24, 65504],
    );
    const [low, high] = f64Words(1 + 2 ** -24 + 2 ** -50);
    const [found] = lanes("mov.b64 %fd1, {%a0,%a1}; cvt.rn.f32.f64 %d0, %fd1;", [[low], [high]], 1);
    expect(f32Value(found?.[0] ?? 0)).toBe(1 + 2 ** -23);
    const sum = lanes(
      "mov.b64 %fd1, {%a0,%a1}; fma.rn.f64 %fd2, %fd1, %fd1, 0dBFF0000000000000; mov.b64 {%d0,%d1}, %fd2;",
      [[f64Words(1 + 2 ** -30)[0]], [f64Words(1 + 2 ** -30)[1]]],
      2,
    );
    expect([sum[0]?.[0], sum[1]?.[0]]).toEqual(f64Words(2 ** -29 + 2 ** -60));
  });

  it("f32 to integers: roundings, clamping, NaN", () => {
    expect(words("cvt.rni.s32.f32 %d0, %a0;", [0.5, 1.5, 2.5, -0.5, -1.5]).map((x) => x | 0)).toEqual([
      0, 2, 2, 0, -2,
    ]);
    expect(
      words("cvt.rzi.s32.f32 %d0, %a0;", [2.9, -2.9, 1e10, -1e10, Number.NaN]).map((x) => x | 0),
    ).toEqual([2, -2, 2147483647, -2147483648, 0]);
    expect(words("cvt.rzi.u32.f32 %d0, %a0;", [-5, 5e9])).toEqual([0, 0xffffffff]);
    expect(words("cvt.rmi.s32.f32 %d0, %a0;", [-2.1]).map((x) => x | 0)).toEqual([-3]);
    expect(run("cvt.rpi.f32.f32 %d0, %a0;", [2.1])).toEqual([3]);
    expect(run("cvt.rni.f32.f32 %d0, %a0;", [-0.3])).toEqual([-0]);
  });

  it("integers to f32", () => {
    const [found] = lanes(
      "cvt.rn.f32.u32 %d0, %a0; cvt.rn.f32.s32 %d1, %a0;",
      [[0xffffffff, 16777217, 16777219]],
      2,
    );
    expect([...(found ?? [])].slice(0, 3).map(f32Value)).toEqual([4294967296, 16777216, 16777220]);
    // 2^40 + 2^16 + 1 lies just above a midpoint of f32: through f64 it must not be rounded twice.
    const wide = lanes("mov.b64 %rd1, {%a0,%a1}; cvt.rn.f32.s64 %d0, %rd1;", [[0x80000001], [1 << 23]], 1);
    expect(f32Value(wide[0]?.[0] ?? 0)).toBe(2 ** 55 + 2 ** 32);
  });

  it("tf32 rounds ties away from zero", () => {
    expect(words("cvt.rna.tf32.f32 %d0, %a0;", [1 + 2 ** -11, 1 + 2 ** -11 - 2 ** -23])).toEqual([
      f32Word(1 + 2 ** -10),
      f32Word(1),
    ]);
  });
});

describe("f16, bf16 and packed f32", () => {
  it("f16x2 and bf16x2 are rounded once", () => {
    const [found] = lanes(
      "fma.rn.f16x2 %d0, %a0, %a1, %a2; add.f16x2 %d1, %a0, %a1; fma.rn.bf16x2 %d2, %a0, %a1, %a2;",
      [[0x3c013c00], [0x3c014000], [0x00010001]],
      3,
    );
    // (1 + 2^-10)² + 2^-24 = 1 + 2^-9 + 2^-20 + 2^-24.
    expect(found?.[0]).toBe(
      ((encode("f16", (1 + 2 ** -10) ** 2 + 2 ** -24) << 16) | encode("f16", 2 + 2 ** -24)) >>> 0,
    );
    const all = lanes(
      "add.f16x2 %d0, %a0, %a1; max.f16x2 %d1, %a0, %a1; neg.f16x2 %d2, %a0;",
      [[0x3c003c00], [0x7e004000]],
      3,
    );
    expect(all.map((list) => list[0])).toEqual([
      (0x7fff << 16) | 0x4200,
      (0x3c00 << 16) | 0x4000,
      0xbc00bc00,
    ]);
    // bf16: 256 + 1 is midway between 256 and 258; a tail far below decides.
    const brain = lanes("fma.rn.bf16x2 %d0, %a0, %a1, %a2;", [[0x43804380], [0x3f813f80], [0x00013f80]], 1);
    expect(brain[0]?.[0]).toBe(((encode("bf16", 256 * (1 + 2 ** -7)) << 16) | encode("bf16", 257)) >>> 0);
    expect(NAN_WORD).toBe(0x7fffffff);
  });

  it("f32x2", () => {
    const found = lanes(
      "mov.b64 %rd1, {%a0,%a1}; fma.rn.f32x2 %rd2, %rd1, %rd1, %rd1; mov.b64 {%d0,%d1}, %rd2;",
      [f32([2]), f32([3])],
      2,
    );
    expect(found.map((list) => f32Value(list[0] ?? 0))).toEqual([6, 12]);
  });
});
