import { expect, test } from "vitest";
import { growthOf } from "../../compiler/bench/growth.ts";

test("an exact power is found, without a misfit", () => {
  const growth = growthOf([64, 128, 512].map((length) => ({ length, time: 3 * length ** 1.5 })));
  expect(growth?.exponent).toBeCloseTo(1.5, 12);
  expect(growth?.residual).toBeCloseTo(0, 12);
  expect(growth?.lengths).toEqual([64, 128, 512]);
});

test("the misfit is the root mean square of the logarithms' differences", () => {
  // ln(time) is 0, 1, 0 over equal steps of ln(L): the best line is level at 1/3.
  const points = [1, 2, 4].map((length, index) => ({ length, time: index === 1 ? Math.E : 1 }));
  const growth = growthOf(points);
  expect(growth?.exponent).toBeCloseTo(0, 12);
  expect(growth?.residual).toBeCloseTo(Math.sqrt((1 / 9 + 4 / 9 + 1 / 9) / 3), 12);
});

test("one length, however often, shows no growth", () => {
  expect(growthOf([])).toBeNull();
  expect(growthOf([{ length: 64, time: 1 }])).toBeNull();
  expect(
    growthOf([
      { length: 64, time: 1 },
      { length: 64, time: 2 },
    ]),
  ).toBeNull();
});
