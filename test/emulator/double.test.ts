import { describe, expect, it } from "vitest";
import { add, compare, decode, type Exact, encode, FORMATS, multiply, negate, random64 } from "./exact.ts";
import { lanes } from "./harness.ts";

const F64 = FORMATS.f64;
const SIGN = 1n << 63n;
const view = new DataView(new ArrayBuffer(8));

function bitsOf(value: number): bigint {
  view.setFloat64(0, value);
  return view.getBigUint64(0);
}

function numberOf(bits: bigint): number {
  view.setBigUint64(0, bits);
  return view.getFloat64(0);
}

const low = (list: readonly bigint[]) => Uint32Array.from(list, (word) => Number(word & 0xffffffffn));
const high = (list: readonly bigint[]) =>
  Uint32Array.from(list, (word) => Number((word >> 32n) & 0xffffffffn));

/** A body on 64-bit registers %rd1 … of every lane; its result in %rd9. */
function run(body: string, ...inputs: readonly (readonly bigint[])[]): bigint[] {
  const moves = inputs.map((_, i) => `mov.b64 %rd${i + 1}, {%a${2 * i},%a${2 * i + 1}};`).join("\n");
  const words = inputs.flatMap((list) => [low(list), high(list)]);
  const [lows, highs] = lanes(`${moves}\n${body}\nmov.b64 {%d0,%d1}, %rd9;`, words, 2);
  return Array.from(lows ?? [], (word, lane) => BigInt(word) | (BigInt(highs?.[lane] ?? 0) << 32n));
}

/** 32 numbers: zeros, subnormals, the largest ones, powers of two and their neighbours; then near 1, then anything finite. */
function numbers(seed: number): bigint[] {
  const next = random64(seed);
  const edges = [
    0,
    -0,
    1,
    -1,
    5e-324,
    -2.2250738585072014e-308,
    1.7976931348623157e308,
    1 + 2 ** -52,
    3,
    2 ** 53,
  ]
    .map(bitsOf)
    .sort(() => (next() & 1n ? 1 : -1));
  return Array.from({ length: 32 }, (_, lane) => {
    const word = next();
    if (lane < edges.length) return edges[lane] ?? 0n;
    if (lane < 24) return (word & 0x800fffffffffffffn) | ((1020n + ((word >> 52n) & 7n)) << 52n);
    return ((word >> 52n) & 2047n) === 2047n ? word ^ (1n << 60n) : word;
  });
}

const exact = (word: bigint): Exact => decode(word, F64) ?? { n: 0n, e: 0 };
const isNegative = (word: bigint) => word >> 63n === 1n;

function rounded(x: Exact, negativeZero: boolean): bigint {
  return encode(x, F64, negativeZero);
}

describe("f64 against big integers", () => {
  it.each([1, 2, 3, 4])("sums, products, fused ones, seed %i", (seed) => {
    const [a, b, c] = [numbers(seed), numbers(seed + 10), numbers(seed + 20)];
    const each = (compute: (x: bigint, y: bigint, z: bigint) => bigint) =>
      a.map((x, lane) => compute(x, b[lane] ?? 0n, c[lane] ?? 0n));
    const sum = (x: bigint, y: bigint) => rounded(add(exact(x), exact(y)), isNegative(x) && isNegative(y));
    expect(run("add.f64 %rd9, %rd1, %rd2;", a, b)).toEqual(each(sum));
    expect(run("sub.rn.f64 %rd9, %rd1, %rd2;", a, b)).toEqual(each((x, y) => sum(x, y ^ SIGN)));
    const product = (x: bigint, y: bigint) => multiply(exact(x), exact(y));
    const unlike = (x: bigint, y: bigint) => isNegative(x) !== isNegative(y);
    expect(run("mul.f64 %rd9, %rd1, %rd2;", a, b)).toEqual(
      each((x, y) => rounded(product(x, y), unlike(x, y))),
    );
    expect(run("fma.rn.f64 %rd9, %rd1, %rd2, %rd3;", a, b, c)).toEqual(
      each((x, y, z) => {
        const exactProduct = product(x, y);
        const whole = add(exactProduct, exact(z));
        // A sum of zeros of one sign keeps it; what cancels exactly is +0.
        const negative = exactProduct.n === 0n && exact(z).n === 0n && unlike(x, y) && isNegative(z);
        return rounded(whole, negative);
      }),
    );
  });

  it.each([1, 2, 3])("quotients and roots err by at most half a unit, seed %i", (seed) => {
    const normal = (list: bigint[]) =>
      list.map((word) => (word & 0x800fffffffffffffn) | ((1010n + ((word >> 52n) & 15n)) << 52n));
    const [a, b] = [normal(numbers(seed)), normal(numbers(seed + 7))];
    /** |q·b - a| ≤ |b| · ulp(q) / 2, by both neighbours of q. */
    const nearest = (q: bigint, error: (q: Exact) => Exact) => {
      const magnitude = ({ n, e }: Exact): Exact => ({ n: n < 0n ? -n : n, e });
      for (const neighbour of [q - 1n, q + 1n]) {
        expect(compare(magnitude(error(exact(q))), magnitude(error(exact(neighbour))))).toBeLessThanOrEqual(
          0,
        );
      }
    };
    const quotients = run("div.rn.f64 %rd9, %rd1, %rd2;", a, b);
    quotients.forEach((q, lane) => {
      nearest(q, (x) => add(multiply(x, exact(b[lane] ?? 0n)), negate(exact(a[lane] ?? 0n))));
    });
    run("rcp.rn.f64 %rd9, %rd1;", a).forEach((q, lane) => {
      nearest(q, (x) => add(multiply(x, exact(a[lane] ?? 0n)), { n: -1n, e: 0 }));
    });
    const squares = a.map((word) => word & ~SIGN);
    run("sqrt.rn.f64 %rd9, %rd1;", squares).forEach((q, lane) => {
      // |q - √a| < ulp/2 where (q ± ulp/2)² encloses a.
      const x = exact(q);
      const half = (sign: bigint): Exact => ({ n: 2n * x.n + sign, e: x.e - 1 });
      const target = exact(squares[lane] ?? 0n);
      expect(compare(multiply(half(-1n), half(-1n)), target)).toBe(-1);
      expect(compare(multiply(half(1n), half(1n)), target)).toBe(1);
    });
  });

  it("signs, minima, comparisons, tests", () => {
    const [a, b] = [numbers(5), numbers(6)];
    const least = (x: bigint, y: bigint, sign: number) => {
      const order = compare(exact(x), exact(y));
      if (order === 0) return isNegative(x) === sign < 0 ? x : y;
      return order === sign ? x : y;
    };
    expect(run("neg.f64 %rd9, %rd1;", a)).toEqual(a.map((word) => word ^ SIGN));
    expect(run("abs.f64 %rd9, %rd1;", a)).toEqual(a.map((word) => word & ~SIGN));
    expect(run("min.f64 %rd9, %rd1, %rd2;", a, b)).toEqual(a.map((x, lane) => least(x, b[lane] ?? 0n, -1)));
    expect(run("max.f64 %rd9, %rd1, %rd2;", a, b)).toEqual(a.map((x, lane) => least(x, b[lane] ?? 0n, 1)));
    expect(run("copysign.f64 %rd9, %rd1, %rd2;", a, b)).toEqual(
      a.map((x, lane) => (x & SIGN) | ((b[lane] ?? 0n) & ~SIGN)),
    );
    const holds: Readonly<Record<string, (order: number) => boolean>> = {
      lt: (order) => order < 0,
      le: (order) => order <= 0,
      gt: (order) => order > 0,
      ge: (order) => order >= 0,
      eq: (order) => order === 0,
      ne: (order) => order !== 0,
    };
    const pairs = [...a.slice(0, 16), ...b.slice(16)];
    for (const [name, test] of Object.entries(holds)) {
      const found = run(`setp.${name}.f64 %p1, %rd1, %rd2;\nselp.b64 %rd9, %rd1, %rd2, %p1;`, a, pairs);
      expect(found).toEqual(
        a.map((x, lane) => (test(compare(exact(x), exact(pairs[lane] ?? 0n))) ? x : pairs[lane])),
      );
    }
    const nan = a.map(() => 0x7ff8000000000001n);
    for (const [name, want] of [
      ["lt", b],
      ["ltu", nan],
      ["ne", b],
      ["neu", nan],
      ["num", b],
      ["nan", nan],
    ] as const) {
      expect(run(`setp.${name}.f64 %p1, %rd1, %rd2;\nselp.b64 %rd9, %rd1, %rd2, %p1;`, nan, b)).toEqual(want);
    }
    expect(run("testp.subnormal.f64 %p1, %rd1;\nselp.b64 %rd9, 1, 0, %p1;", a)).toEqual(
      a.map((x) => (x & ~SIGN && (x >> 52n) % 2048n === 0n ? 1n : 0n)),
    );
    expect(run("min.f64 %rd9, %rd1, %rd2;", nan, b)).toEqual(b);
  });

  it("immediates", () => {
    const [found] = [
      run(
        "add.f64 %rd9, %rd1, 0d3FF0000000000000;\nfma.rn.f64 %rd9, %rd9, 0dC000000000000000, 0d3FE0000000000000;",
        numbers(1).map(() => bitsOf(0.1)),
      ),
    ];
    expect(numberOf(found[0] ?? 0n)).toBe((0.1 + 1) * -2 + 0.5);
  });

  it("conversions from and to f64", () => {
    const a = numbers(8);
    const values = a.map(numberOf);
    const narrow = run("cvt.rn.f32.f64 %f1, %rd1;\ncvt.f64.f32 %rd9, %f1;", a);
    expect(narrow).toEqual(
      a.map((word) => {
        const bits = Number(encode(exact(word), FORMATS.f32, isNegative(word)));
        view.setUint32(0, bits);
        return bitsOf(view.getFloat32(0));
      }),
    );
    const clamp = (x: bigint, lowest: bigint, highest: bigint) =>
      x < lowest ? lowest : x > highest ? highest : x;
    const mixed = [
      ...values.slice(0, 16),
      1.5,
      -1.5,
      2.5,
      1e10,
      -1e10,
      2 ** 63,
      -(2 ** 63),
      2 ** 64,
      0.49,
      2 ** 31,
      4294967295.5,
      3e18,
      127.9,
      -128.9,
      Infinity,
      -Infinity,
    ];
    const words = mixed.map(bitsOf);
    const whole = (x: number) =>
      Number.isFinite(x) ? BigInt(Math.trunc(x)) : x > 0 ? 2n ** 80n : -(2n ** 80n);
    const to = (body: string) => run(body, words);
    expect(to("cvt.rzi.s64.f64 %rd9, %rd1;")).toEqual(
      mixed.map((x) => BigInt.asUintN(64, clamp(whole(x), -(2n ** 63n), 2n ** 63n - 1n))),
    );
    expect(to("cvt.rzi.u64.f64 %rd9, %rd1;")).toEqual(mixed.map((x) => clamp(whole(x), 0n, 2n ** 64n - 1n)));
    expect(to("cvt.rzi.s32.f64 %r1, %rd1;\ncvt.s64.s32 %rd9, %r1;")).toEqual(
      mixed.map((x) => BigInt.asUintN(64, clamp(whole(x), -(2n ** 31n), 2n ** 31n - 1n))),
    );
    expect(to("cvt.rzi.u32.f64 %r1, %rd1;\ncvt.u64.u32 %rd9, %r1;")).toEqual(
      mixed.map((x) => clamp(whole(x), 0n, 2n ** 32n - 1n)),
    );
    const nan = mixed.map(() => 0x7ff8000000000000n);
    expect(run("cvt.rni.s32.f64 %r1, %rd1;\ncvt.u64.u32 %rd9, %r1;", nan)[0]).toBe(2n ** 31n);
    expect(run("cvt.rni.u32.f64 %r1, %rd1;\ncvt.u64.u32 %rd9, %r1;", nan)[0]).toBe(2n ** 31n);
    expect(run("cvt.rni.s64.f64 %rd9, %rd1;", nan)[0]).toBe(2n ** 63n);
    const next = random64(77);
    const integers = mixed.map(() => next());
    expect(run("cvt.rn.f64.s64 %rd9, %rd1;", integers)).toEqual(
      integers.map((x) => encode({ n: BigInt.asIntN(64, x), e: 0 }, F64)),
    );
    expect(run("cvt.rn.f64.u64 %rd9, %rd1;", integers)).toEqual(
      integers.map((x) => encode({ n: x, e: 0 }, F64)),
    );
    expect(
      run("cvt.rni.f64.f64 %rd9, %rd1;", [1.5, 2.5, -0.5, -1.5, 0.3, 7].map(bitsOf))
        .slice(0, 6)
        .map(numberOf),
    ).toEqual([2, 2, -0, -2, 0, 7]);
  });
});
