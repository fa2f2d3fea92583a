import { expect, test } from "vitest";
import { colourAt, colourOf, rangeOf, toOklab } from "../../examples/playground/src/maps/colour.ts";

const seen = (length: number): Uint8Array => new Uint8Array(length).fill(1);

test("weights begin with 0, scores lie on both sides of it", () => {
  const values = Float64Array.of(0, 0.25, 0.5);
  expect(rangeOf(values, seen(3), true)).toMatchObject({ scale: "sequential", least: 0 });
  expect(rangeOf(values, seen(3), false)).toMatchObject({ scale: "diverging", least: -0.25, most: 0.25 });
  // A convolution may make weights negative.
  expect(rangeOf(Float64Array.of(-1, 1), seen(2), true).scale).toBe("diverging");
});

test("entries that are masked or not finite do not count", () => {
  const values = Float64Array.of(9, 1, Number.NaN, Number.POSITIVE_INFINITY, 1);
  const visible = Uint8Array.of(0, 1, 1, 1, 1);
  expect(rangeOf(values, visible, true)).toEqual({ scale: "sequential", least: 0, most: 1, clipped: false });
});

test("one entry in a hundred may lie beyond the colours", () => {
  const values = Float64Array.from({ length: 200 }, (_, index) => (index === 7 ? 1000 : index / 200));
  const range = rangeOf(values, seen(200), true);
  expect(range.most).toBeLessThan(1);
  expect(range.clipped).toBe(true);
  expect(colourOf(1000, range)).toEqual(colourAt("sequential", 1));
});

test("a map of zeros has the colour of 0", () => {
  const zeros = new Float64Array(4);
  for (const weights of [true, false]) {
    const range = rangeOf(zeros, seen(4), weights);
    expect(Object.is(range.least, 0)).toBe(true);
    expect(colourOf(0, range)).toEqual(colourAt(range.scale, weights ? 0 : 0.5));
  }
});

test("larger weights are darker, and 0 has one colour in both scales", () => {
  const lightness = Array.from({ length: 256 }, (_, step) => toOklab(colourAt("sequential", step / 255))[0]);
  for (const [step, value] of lightness.entries())
    expect(value).toBeLessThanOrEqual((lightness[step - 1] ?? 1) + 0.004);
  const [sequential, diverging] = [colourAt("sequential", 0), colourAt("diverging", 0.5)];
  for (const channel of [0, 1, 2] as const)
    expect(Math.abs(sequential[channel] - diverging[channel])).toBeLessThanOrEqual(2);
});

test("values of equal size are about equally dark on both sides of 0", () => {
  for (const share of [0.1, 0.25, 0.5]) {
    const [negative] = toOklab(colourAt("diverging", 0.5 - share));
    const [positive] = toOklab(colourAt("diverging", 0.5 + share));
    expect(Math.abs(negative - positive)).toBeLessThan(0.12);
  }
});
