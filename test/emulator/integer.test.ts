import { describe, expect, it } from "vitest";
import { lanes, randomWords } from "./harness.ts";

const A = randomWords(1);
const B = randomWords(2);
const C = randomWords(3);

const u64 = (low: number, high: number) => (BigInt(high) << 32n) | BigInt(low);
const s = (word: number) => BigInt.asIntN(32, BigInt(word));
const u = (word: number) => BigInt(word);
const bits32 = (value: bigint) => Number(BigInt.asUintN(32, value));

/** Expected words of one operation on (a, b, c), by big integers. */
function check(
  body: string,
  expected: (a: number, b: number, c: number, lane: number) => bigint,
  inputs = [A, B, C],
) {
  const [found] = lanes(body, inputs, 1);
  const want = Uint32Array.from({ length: 32 }, (_, lane) =>
    bits32(expected(inputs[0]?.[lane] ?? 0, inputs[1]?.[lane] ?? 0, inputs[2]?.[lane] ?? 0, lane)),
  );
  expect(found, body).toEqual(want);
}

/** The same for a 64-bit result. */
function check64(body: string, expected: (x: bigint, y: bigint, c: number) => bigint) {
  const D = randomWords(4);
  const text = `mov.b64 %rd1, {%a0,%a1};\nmov.b64 %rd2, {%a2,%a3};\n${body}\nmov.b64 {%d0,%d1}, %rd0;`;
  const [low, high] = lanes(text, [A, B, C, D], 2);
  for (let lane = 0; lane < 32; lane++) {
    const want = BigInt.asUintN(
      64,
      expected(u64(A[lane] ?? 0, B[lane] ?? 0), u64(C[lane] ?? 0, D[lane] ?? 0), C[lane] ?? 0),
    );
    expect(u64(low?.[lane] ?? 0, high?.[lane] ?? 0), `${body}, lane ${lane}`).toBe(want);
  }
}

const signed = (value: bigint) => BigInt.asIntN(64, value);
const count = Uint32Array.from(
  { length: 32 },
  (_, lane) => [0, 1, 15, 31, 32, 33, 63, 64, 65, 0xffffffff][lane % 10] ?? 0,
);

describe("32-bit integers", () => {
  const table: [string, (a: number, b: number, c: number) => bigint][] = [
    ["add.s32 %d0, %a0, %a1;", (a, b) => u(a) + u(b)],
    ["add.u32 %d0, %a0, -7;", (a) => u(a) - 7n],
    ["sub.s32 %d0, %a0, %a1;", (a, b) => u(a) - u(b)],
    ["mul.lo.s32 %d0, %a0, %a1;", (a, b) => u(a) * u(b)],
    ["mul.hi.s32 %d0, %a0, %a1;", (a, b) => (s(a) * s(b)) >> 32n],
    ["mul.hi.u32 %d0, %a0, %a1;", (a, b) => (u(a) * u(b)) >> 32n],
    ["mad.lo.s32 %d0, %a0, %a1, %a2;", (a, b, c) => u(a) * u(b) + u(c)],
    ["mad.hi.u32 %d0, %a0, %a1, %a2;", (a, b, c) => ((u(a) * u(b)) >> 32n) + u(c)],
    ["div.s32 %d0, %a0, %a1;", (a, b) => (b === 0 ? -1n : s(a) / s(b))],
    ["div.u32 %d0, %a0, %a1;", (a, b) => (b === 0 ? -1n : u(a) / u(b))],
    ["rem.s32 %d0, %a0, %a1;", (a, b) => (b === 0 ? s(a) : s(a) % s(b))],
    ["rem.u32 %d0, %a0, %a1;", (a, b) => (b === 0 ? u(a) : u(a) % u(b))],
    ["min.s32 %d0, %a0, %a1;", (a, b) => (s(a) < s(b) ? s(a) : s(b))],
    ["max.u32 %d0, %a0, %a1;", (a, b) => (a > b ? u(a) : u(b))],
    ["neg.s32 %d0, %a0;", (a) => -u(a)],
    ["abs.s32 %d0, %a0;", (a) => (s(a) < 0n ? -s(a) : s(a))],
    ["and.b32 %d0, %a0, %a1;", (a, b) => u(a) & u(b)],
    ["or.b32 %d0, %a0, %a1;", (a, b) => u(a) | u(b)],
    ["xor.b32 %d0, %a0, %a1;", (a, b) => u(a) ^ u(b)],
    ["not.b32 %d0, %a0;", (a) => ~u(a)],
    ["popc.b32 %d0, %a0;", (a) => BigInt(a.toString(2).replaceAll("0", "").length)],
    ["clz.b32 %d0, %a0;", (a) => BigInt(Math.clz32(a))],
    ["brev.b32 %d0, %a0;", (a) => BigInt(`0b${[...a.toString(2).padStart(32, "0")].reverse().join("")}`)],
    ["bfind.u32 %d0, %a0;", (a) => BigInt(a === 0 ? -1 : 31 - Math.clz32(a))],
    ["bfind.s32 %d0, %a0;", (a) => BigInt(31 - Math.clz32(a >>> 31 ? ~a : a))],
    ["bfind.shiftamt.u32 %d0, %a0;", (a) => BigInt(a === 0 ? -1 : Math.clz32(a))],
    ["sad.u32 %d0, %a0, %a1, %a2;", (a, b, c) => (a > b ? u(a) - u(b) : u(b) - u(a)) + u(c)],
    [
      "{.reg .b16 lo, hi; mov.b32 {lo, hi}, %a0; mov.b32 %d0, {hi, lo};}",
      (a) => (u(a) >> 16n) | (u(a) << 16n),
    ],
    ["selp.b32 %d0, %a0, %a1, 1;", (a) => u(a)],
    ["setp.lt.s32 %p1, %a0, %a1; selp.b32 %d0, %a2, 5, %p1;", (a, b, c) => (s(a) < s(b) ? u(c) : 5n)],
    [
      "setp.hi.u32 %p1|%p2, %a0, %a1; selp.b32 %r0, 1, 0, %p1; selp.b32 %r1, 2, 0, %p2; add.s32 %d0, %r0, %r1;",
      (a, b) => (a > b ? 1n : 2n),
    ],
    ["set.ge.u32.s32 %d0, %a0, %a1;", (a, b) => (s(a) >= s(b) ? -1n : 0n)],
    ["slct.b32.s32 %d0, %a0, %a1, %a2;", (a, b, c) => (s(c) >= 0n ? u(a) : u(b))],
    [
      "setp.eq.s32 %p1, %a0, %a0; setp.gt.and.s32 %p2, %a0, %a1, %p1; @!%p2 mov.u32 %d0, 3; @%p2 mov.u32 %d0, %a2;",
      (a, b, c) => (s(a) > s(b) ? u(c) : 3n),
    ],
    ["cvt.s32.s8 %d0, %a0;", (a) => BigInt.asIntN(8, u(a))],
    ["cvt.u32.u16 %d0, %a0;", (a) => u(a) & 0xffffn],
    ["cvt.u16.u32 %h1, %a0; cvt.s32.s16 %d0, %h1;", (a) => BigInt.asIntN(16, u(a))],
    ["cvt.sat.u8.s32 %d0, %a0;", (a) => (s(a) < 0n ? 0n : s(a) > 255n ? 255n : s(a))],
    [
      "cvt.u16.u32 %h1, %a0; cvt.u16.u32 %h2, %a1; mul.wide.s16 %d0, %h1, %h2;",
      (a, b) => BigInt.asIntN(16, u(a)) * BigInt.asIntN(16, u(b)),
    ],
    [
      "cvt.u16.u32 %h1, %a0; cvt.u16.u32 %h2, %a1; add.s16 %h3, %h1, %h2; cvt.u32.u16 %d0, %h3;",
      (a, b) => (u(a) + u(b)) & 0xffffn,
    ],
    [
      "cvt.u16.u32 %h1, %a0; shr.s16 %h3, %h1, 3; cvt.s32.s16 %d0, %h3;",
      (a) => BigInt.asIntN(16, u(a)) >> 3n,
    ],
  ];
  it.each(table)("%s", (body, expected) => check(body, expected));

  it("shifts clamp their counts", () => {
    check("shl.b32 %d0, %a0, %a1;", (a, n) => (n > 31 ? 0n : u(a) << u(n)), [A, count]);
    check("shr.u32 %d0, %a0, %a1;", (a, n) => (n > 31 ? 0n : u(a) >> u(n)), [A, count]);
    check("shr.s32 %d0, %a0, %a1;", (a, n) => s(a) >> (n > 31 ? 31n : u(n)), [A, count]);
    check("shr.s32 %d0, %a0, 40;", (a) => s(a) >> 31n, [A]);
    check("shl.b32 %d0, %a0, 32;", () => 0n, [A]);
  });

  it("funnel shifts wrap or clamp", () => {
    const pair = (a: number, b: number) => (u(b) << 32n) | u(a);
    check("shf.l.wrap.b32 %d0, %a0, %a1, %a2;", (a, b, n) => (pair(a, b) << (u(n) & 31n)) >> 32n, [
      A,
      B,
      count,
    ]);
    check("shf.r.clamp.b32 %d0, %a0, %a1, %a2;", (a, b, n) => pair(a, b) >> (n > 32 ? 32n : u(n)), [
      A,
      B,
      count,
    ]);
  });

  it("lop3 follows its table", () => {
    for (const table of [0x00, 0xff, 0x96, 0xe8, 0xca, 0x80, 0x1b]) {
      check(`lop3.b32 %d0, %a0, %a1, %a2, ${table};`, (a, b, c) => {
        let result = 0n;
        for (let bit = 0; bit < 32; bit++) {
          const row = (((a >>> bit) & 1) << 2) | (((b >>> bit) & 1) << 1) | ((c >>> bit) & 1);
          if ((table >> row) & 1) result |= 1n << BigInt(bit);
        }
        return result;
      });
    }
  });

  it("prmt selects bytes and signs", () => {
    const byte = (a: number, b: number, index: number) =>
      (((u(b) << 32n) | u(a)) >> BigInt(8 * (index & 7))) & 255n;
    check("prmt.b32 %d0, %a0, %a1, %a2;", (a, b, c) => {
      let result = 0n;
      for (let at = 0; at < 4; at++) {
        const nibble = (c >>> (4 * at)) & 15;
        const value = byte(a, b, nibble);
        result |= (nibble & 8 ? (value & 128n ? 255n : 0n) : value) << BigInt(8 * at);
      }
      return result;
    });
    check("prmt.b32.f4e %d0, %a0, %a1, 1;", (a, b) => ((u(b) << 32n) | u(a)) >> 8n);
    check("prmt.b32.rc16 %d0, %a0, %a1, 1;", (a) => (u(a) >> 16n) * 0x10001n);
  });

  it("bit fields", () => {
    const position = Uint32Array.from({ length: 32 }, (_, lane) => (lane * 7) % 40);
    const length = Uint32Array.from({ length: 32 }, (_, lane) => (lane * 5) % 36);
    check("bfe.u32 %d0, %a0, %a1, %a2;", (a, p, n) => (u(a) >> u(p)) & ((1n << u(n)) - 1n), [
      A,
      position,
      length,
    ]);
    check(
      "bfe.s32 %d0, %a0, %a1, %a2;",
      (a, p, n) => (n === 0 ? 0n : BigInt.asIntN(n, BigInt.asUintN(Math.max(64, n), s(a) >> u(p)))),
      [A, position, length],
    );
    const mask = (p: number, n: number) => BigInt.asUintN(32, ((1n << u(n)) - 1n) << u(p));
    check(
      "bfi.b32 %d0, %a0, 0x12345678, %a1, %a2;",
      (a, p, n) => (0x12345678n & ~mask(p, n)) | ((u(a) << u(p)) & mask(p, n)),
      [A, position, length],
    );
  });
});

describe("64-bit integers", () => {
  const table: [string, (x: bigint, y: bigint, c: number) => bigint][] = [
    ["add.s64 %rd0, %rd1, %rd2;", (x, y) => x + y],
    ["add.s64 %rd1, %rd1, -1; mov.u64 %rd0, %rd1;", (x) => x - 1n],
    ["sub.s64 %rd0, %rd1, %rd2;", (x, y) => x - y],
    ["mul.lo.s64 %rd0, %rd1, %rd2;", (x, y) => x * y],
    ["mul.hi.u64 %rd0, %rd1, %rd2;", (x, y) => (x * y) >> 64n],
    ["mul.wide.s32 %rd0, %a0, %a2;", (x, y) => BigInt.asIntN(32, x) * BigInt.asIntN(32, y)],
    ["mul.wide.u32 %rd0, %a0, %a2;", (x, y) => BigInt.asUintN(32, x) * BigInt.asUintN(32, y)],
    ["mad.wide.u32 %rd0, %a0, %a2, %rd2;", (x, y) => BigInt.asUintN(32, x) * BigInt.asUintN(32, y) + y],
    ["mad.lo.s64 %rd0, %rd1, %rd2, %rd1;", (x, y) => x * y + x],
    ["div.u64 %rd0, %rd1, %rd2;", (x, y) => (y === 0n ? -1n : x / y)],
    ["rem.s64 %rd0, %rd1, %rd2;", (x, y) => (y === 0n ? x : signed(x) % signed(y))],
    ["neg.s64 %rd0, %rd1;", (x) => -x],
    ["abs.s64 %rd0, %rd1;", (x) => (signed(x) < 0n ? -x : x)],
    ["min.s64 %rd0, %rd1, %rd2;", (x, y) => (signed(x) < signed(y) ? x : y)],
    ["and.b64 %rd0, %rd1, %rd2;", (x, y) => x & y],
    ["not.b64 %rd0, %rd1;", (x) => ~x],
    ["shl.b64 %rd0, %rd1, %a2;", (x, _, n) => (n > 63 ? 0n : x << BigInt(n))],
    [
      "and.b32 %r1, %a2, 127; shl.b64 %rd0, %rd1, %r1;",
      (x, _, n) => ((n & 127) > 63 ? 0n : x << BigInt(n & 127)),
    ],
    ["and.b32 %r1, %a2, 127; shr.u64 %rd0, %rd1, %r1;", (x, _, n) => x >> BigInt(n & 127)],
    ["and.b32 %r1, %a2, 127; shr.s64 %rd0, %rd1, %r1;", (x, _, n) => signed(x) >> BigInt(n & 127)],
    ["cvt.s64.s32 %rd0, %a0;", (x) => BigInt.asIntN(32, x)],
    ["cvt.u64.u32 %rd0, %a0;", (x) => BigInt.asUintN(32, x)],
    ["popc.b64 %r1, %rd1; cvt.u64.u32 %rd0, %r1;", (x) => BigInt(x.toString(2).replaceAll("0", "").length)],
    [
      "setp.lt.s64 %p1, %rd1, %rd2; selp.b64 %rd0, %rd1, %rd2, %p1;",
      (x, y) => (signed(x) < signed(y) ? x : y),
    ],
    ["setp.gt.u64 %p1, %rd1, %rd2; selp.b64 %rd0, %rd1, %rd2, %p1;", (x, y) => (x > y ? x : y)],
    ["setp.ge.s64 %p1, %rd1, %rd1; selp.b64 %rd0, 1, 0, %p1;", () => 1n],
    ["bfe.u64 %rd0, %rd1, 13, 40;", (x) => (x >> 13n) & ((1n << 40n) - 1n)],
    [
      "bfi.b64 %rd0, %rd1, %rd2, 20, 30;",
      (x, y) => (y & ~(((1n << 30n) - 1n) << 20n)) | ((x & ((1n << 30n) - 1n)) << 20n),
    ],
  ];
  it.each(table)("%s", (body, expected) => check64(body, expected));
});
