import { expect, test } from "vitest";
import { sumOverRows } from "../../compiler/plan/row-sums.ts";

/** What a loop over all places gives, and how many were looked at. */
function compare(first: number, end: number, apart: number): { share: number; looks: number } {
  const each = (row: number): number => Math.max(0, Math.ceil((row + apart) / 32) - 100);
  let looks = 0;
  const found = sumOverRows(first, end, apart, (row) => {
    looks += 1;
    return each(row);
  });
  let sum = 0;
  for (let row = first; row < end; row += apart) sum += each(row);
  return { share: sum === 0 ? 1 : found / sum, looks };
}

test("sums over rows are exact up to many thousand places, near beyond, and end in time", () => {
  for (const [first, end, apart] of [
    [0, 0, 4],
    [0, 1, 16],
    [-5, 100_000, 16],
    [0, 16_384 * 4, 4],
  ] as const)
    expect(compare(first, end, apart).share).toBe(1);
  const { share, looks } = compare(-3, 3_000_001, 16);
  expect(Math.abs(share - 1)).toBeLessThan(1e-4);
  expect(looks).toBeLessThanOrEqual(16_384);
});
