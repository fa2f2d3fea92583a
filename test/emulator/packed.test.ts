import { describe, expect, it } from "vitest";
import {
  add,
  compare,
  decode,
  type Exact,
  encode,
  FORMATS,
  type Format,
  multiply,
  negate,
  random64,
} from "./exact.ts";
import { lanes } from "./harness.ts";

type Values = readonly [x: bigint, y: bigint, z: bigint];

/** The exact result of an operation on finite operands, and the sign of a zero. */
const OPERATIONS: Readonly<
  Record<string, (list: readonly Exact[], negative: readonly boolean[]) => [Exact, boolean]>
> = {
  add: ([x = ZERO, y = ZERO], [p, q]) => [add(x, y), p === true && q === true],
  sub: ([x = ZERO, y = ZERO], [p, q]) => [add(x, negate(y)), p === true && q === false],
  mul: ([x = ZERO, y = ZERO], [p, q]) => [multiply(x, y), p !== q],
  fma: ([x = ZERO, y = ZERO, z = ZERO], [p, q, r]) => [
    add(multiply(x, y), z),
    multiply(x, y).n === 0n && z.n === 0n && p !== q && r === true,
  ],
};
const ZERO: Exact = { n: 0n, e: 0 };

function want(operation: string, format: Format, words: Values): bigint {
  const compute = OPERATIONS[operation];
  const list = words.map((word) => decode(word, format) ?? ZERO);
  const [value, negative] = compute?.(
    list,
    words.map((word) => word >> BigInt(format.bits - 1) === 1n),
  ) ?? [ZERO, false];
  return encode(value, format, negative);
}

/** Finite numbers: edges (zeros, subnormals, largest), exponents near the middle, anything. */
function numbers(format: Format, seed: number, count: number): bigint[] {
  const next = random64(seed);
  const { bits, fraction } = format;
  const exponentBits = bits - fraction - 1;
  const top = (1n << BigInt(exponentBits)) - 1n;
  const unit = 1n << BigInt(fraction);
  const edges = [0n, 1n, unit - 1n, unit, top * unit - 1n, (top / 2n) * unit, (top / 2n) * unit + 1n];
  return Array.from({ length: count }, (_, index) => {
    const word = next();
    const sign = (word >> 63n) << BigInt(bits - 1);
    if (index < 2 * edges.length) return sign | (edges[Number(word & 0xffffn) % edges.length] ?? 0n);
    const exponent = index < count / 2 ? top / 2n - 3n + ((word >> 40n) & 7n) : ((word >> 40n) & 0xffn) % top;
    return sign | (exponent * unit) | (word & (unit - 1n));
  });
}

const LANES = Array.from({ length: 32 }, (_, lane) => lane);

describe.each(["f16", "bf16"] as const)("%s", (type) => {
  const format = FORMATS[type];
  const operands = (seed: number) => [1, 2, 3].map((salt) => numbers(format, seed * 10 + salt, 64));
  const pack = (list: readonly bigint[]) =>
    Uint32Array.from(LANES, (lane) => Number((list[lane] ?? 0n) | ((list[lane + 32] ?? 0n) << 16n)));

  it.each(["add", "sub", "mul", "fma"])("%s of pairs and of single numbers, rounded once", (operation) => {
    const name = operation === "fma" ? "fma.rn" : operation;
    const arguments_ = (letter: string) =>
      [0, 1, 2]
        .slice(0, operation === "fma" ? 3 : 2)
        .map((i) => `%${letter}${i}`)
        .join(", ");
    for (let seed = 1; seed <= 12; seed++) {
      const list = operands(seed);
      const expected = (index: number) =>
        want(operation, format, [list[0]?.[index] ?? 0n, list[1]?.[index] ?? 0n, list[2]?.[index] ?? 0n]);
      const [pairs, single] = lanes(
        `${name}.${type}x2 %d0, ${arguments_("a")};
mov.b32 {%h0,%h9}, %a0; mov.b32 {%h1,%h9}, %a1; mov.b32 {%h2,%h9}, %a2;
${name}.${type} %h8, ${arguments_("h")};
mov.u16 %h9, 0; mov.b32 %d1, {%h8,%h9};`,
        list.map(pack),
        2,
      );
      expect(single).toEqual(Uint32Array.from(LANES, (lane) => Number(expected(lane))));
      expect(pairs).toEqual(pack([...LANES, ...LANES].map((_, index) => expected(index))));
    }
  });

  it("min, max, neg, abs of pairs", () => {
    const [a = [], b = []] = operands(40);
    const extreme = (sign: number) =>
      a.map((x, index) => {
        const y = b[index] ?? 0n;
        const order = compare(decode(x, format) ?? ZERO, decode(y, format) ?? ZERO);
        if (order === 0) return x >> 15n === (sign < 0 ? 1n : 0n) ? x : y;
        return order === sign ? x : y;
      });
    const found = lanes(
      `min.${type}x2 %d0, %a0, %a1; max.${type}x2 %d1, %a0, %a1; neg.${type}x2 %d2, %a0; abs.${type}x2 %d3, %a0;`,
      [pack(a), pack(b)],
      4,
    );
    expect(found).toEqual([
      pack(extreme(-1)),
      pack(extreme(1)),
      pack(a.map((x) => x ^ 0x8000n)),
      pack(a.map((x) => x & 0x7fffn)),
    ]);
  });

  it("relu and saturation of pairs", () => {
    const [a = [], b = [], c = []] = operands(50);
    const one = type === "f16" ? 0x3c00n : 0x3f80n;
    const result = (index: number) => want("fma", format, [a[index] ?? 0n, b[index] ?? 0n, c[index] ?? 0n]);
    const positive = (word: bigint) => (word >> 15n ? 0n : word);
    const all = [...LANES, ...LANES].map((_, index) => result(index));
    const [relu] = lanes(`fma.rn.relu.${type}x2 %d0, %a0, %a1, %a2;`, [pack(a), pack(b), pack(c)], 1);
    expect(relu).toEqual(pack(all.map(positive)));
    if (type === "bf16") return;
    const [saturated] = lanes(`fma.rn.sat.${type}x2 %d0, %a0, %a1, %a2;`, [pack(a), pack(b), pack(c)], 1);
    expect(saturated).toEqual(pack(all.map(positive).map((word) => (word > one ? one : word))));
  });

  it("infinities and NaN", () => {
    const infinity = type === "f16" ? 0x7c00 : 0x7f80;
    const both = (word: number) => [word | (word << 16)];
    const [sum, difference, product, least, kept] = lanes(
      `add.${type}x2 %d0, %a0, %a0; sub.${type}x2 %d1, %a0, %a0; mul.${type}x2 %d2, %a0, %a1;
min.${type}x2 %d3, %a0, %a2; min.NaN.${type}x2 %d4, %a0, %a2;`,
      [both(infinity), both(0), both(0x7fff)],
      5,
    );
    const word = (value: number) => (value | (value << 16)) >>> 0;
    expect([sum, difference, product, least, kept].map((list) => list?.[0])).toEqual(
      [infinity, 0x7fff, 0x7fff, infinity, 0x7fff].map(word),
    );
  });
});

describe("f32x2", () => {
  const pairs = "mov.b64 %rd1, {%a0,%a1}; mov.b64 %rd2, {%a2,%a3}; mov.b64 %rd3, {%a4,%a5};";

  it.each(["add", "sub", "mul", "fma"])("%s: both halves, rounded once", (operation) => {
    const last = operation === "fma" ? ", %rd3" : "";
    for (let seed = 1; seed <= 12; seed++) {
      const list = [1, 2, 3, 4, 5, 6].map((salt) => numbers(FORMATS.f32, seed * 10 + salt, 32));
      const [low, high] = lanes(
        `${pairs}\n${operation}.rn.f32x2 %rd4, %rd1, %rd2${last};\nmov.b64 {%d0,%d1}, %rd4;`,
        list.map((words) => Uint32Array.from(words, Number)),
        2,
      );
      const expected = (half: number) =>
        Uint32Array.from(LANES, (lane) => {
          const at = (index: number) => list[2 * index + half]?.[lane] ?? 0n;
          return Number(want(operation, FORMATS.f32, [at(0), at(1), at(2)]));
        });
      expect(low).toEqual(expected(0));
      expect(high).toEqual(expected(1));
    }
  });

  it("flushes where told", () => {
    const one = [0x3f800000];
    const small = [0x00400000];
    const [kept] = lanes(
      `${pairs}\nmul.rn.f32x2 %rd4, %rd1, %rd2;\nmov.b64 {%d0,%d1}, %rd4;`,
      [one, one, small, small, one, one],
      2,
    );
    const [flushed, other] = lanes(
      `${pairs}\nmul.rn.ftz.f32x2 %rd4, %rd1, %rd2;\nmov.b64 {%d0,%d1}, %rd4;`,
      [one, one, small, [0x80400000], one, one],
      2,
    );
    expect([kept?.[0], flushed?.[0], other?.[0]]).toEqual([0x00400000, 0, 0x80000000]);
  });
});
