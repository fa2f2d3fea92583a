import * as fc from "fast-check";
import { expect, test } from "vitest";
import { decode, encode, type NarrowType, pack, roundTo, unpack } from "../../runtime/contract/index.ts";

const FORMATS = [
  { type: "f16", fraction: 10, bias: 15 },
  { type: "bf16", fraction: 7, bias: 127 },
] as const;

/** The textbook reading of a pattern: (−1)^s · 1.f · 2^(e − bias). */
function textbook(bits: number, fraction: number, bias: number): number {
  const sign = bits >= 0x8000 ? -1 : 1;
  const exponent = (bits & 0x7fff) >> fraction;
  const part = (bits & ((1 << fraction) - 1)) / 2 ** fraction;
  if (exponent === 2 * bias + 1) return part === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * part * 2 ** (1 - bias) : sign * (1 + part) * 2 ** (exponent - bias);
}

test.each(FORMATS)(
  "every $type pattern decodes as the standard says, and back",
  ({ type, fraction, bias }) => {
    for (let bits = 0; bits < 65536; bits += 1) {
      const value = decode(type, bits);
      if (!Object.is(value, textbook(bits, fraction, bias)))
        expect(value, `pattern ${bits}`).toBe(textbook(bits, fraction, bias));
      const back = encode(type, value);
      if (Number.isNaN(value)) expect(Number.isNaN(decode(type, back))).toBe(true);
      else if (back !== bits) expect(back).toBe(bits);
    }
  },
);

test.each(FORMATS)(
  "halfway between two $type numbers goes to the even one, anything beyond to the nearer",
  ({ type, fraction }) => {
    const infinity = ((0x8000 >> fraction) - 1) << fraction;
    for (let bits = 0; bits < infinity - 1; bits += 1) {
      const low = decode(type, bits);
      const high = decode(type, bits + 1);
      const middle = (low + high) / 2;
      const even = bits % 2 === 0 ? bits : bits + 1;
      const found = [
        encode(type, middle),
        encode(type, middle - (high - low) * 1e-6),
        encode(type, middle + (high - low) * 1e-6),
      ];
      const negative = encode(type, -middle);
      if (found[0] !== even || found[1] !== bits || found[2] !== bits + 1 || negative !== (even | 0x8000)) {
        expect([...found, negative], `after pattern ${bits}`).toEqual([even, bits, bits + 1, even | 0x8000]);
      }
    }
  },
);

test.each([
  ["f16", 65519.99, 65504],
  ["f16", 65520, Number.POSITIVE_INFINITY],
  ["f16", -1e300, Number.NEGATIVE_INFINITY],
  ["f16", 2 ** -25, 0],
  ["f16", 2 ** -25 * 1.0000001, 2 ** -24],
  ["bf16", 3.3895313892515355e38, 3.3895313892515355e38],
  ["bf16", 2 ** 128 - 2 ** 119, Number.POSITIVE_INFINITY],
  ["bf16", 2 ** 128 - 2 ** 119 - 2 ** 90, 3.3895313892515355e38],
  ["bf16", 2 ** -134, 0],
  ["bf16", 2 ** -133, 2 ** -133],
  ["bf16", 5e-324, 0],
] as const)("%s rounds %d to %d", (type, value, expected) => {
  expect(decode(type, encode(type, value))).toBe(expected);
});

test("a double is rounded once, not by way of f32", () => {
  // Just above a tie of f16: rounding to f32 first would make it the tie, and then even.
  expect(decode("f16", encode("f16", 1 + 2 ** -11 + 2 ** -30))).toBe(1 + 2 ** -10);
});

test("signs survive, also of zero", () => {
  for (const type of ["f16", "bf16"] as const) expect(encode(type, -0)).toBe(0x8000);
});

test("rounding gives the nearest value for any double", () => {
  const number = fc.double({ noNaN: true, min: -6e4, max: 6e4 });
  fc.assert(
    fc.property(number, fc.constantFrom<NarrowType>("f16", "bf16"), (value, type) => {
      const bits = encode(type, value);
      const error = Math.abs(decode(type, bits) - value);
      for (const neighbour of [bits - 1, bits + 1]) {
        const other = decode(type, neighbour & 0xffff);
        if (Number.isFinite(other)) expect(error).toBeLessThanOrEqual(Math.abs(other - value));
      }
    }),
  );
});

test("pack, unpack and roundTo agree", () => {
  const values = Float32Array.from(
    { length: 1000 },
    (_, index) => Math.sin(index) * 2 ** ((index % 40) - 20),
  );
  for (const type of ["f16", "bf16"] as const)
    expect(unpack(type, pack(type, values))).toEqual(roundTo(type, values));
  expect(roundTo("f32", Float64Array.of(0.1))[0]).toBe(Math.fround(0.1));
  expect(roundTo("f16", Float64Array.of(0.1))).toBeInstanceOf(Float64Array);
});
