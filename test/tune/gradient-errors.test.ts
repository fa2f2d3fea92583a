import { expect, test } from "vitest";
import { compareGradients } from "../../compiler/execution/comparison.ts";
import type { Float64Tensor } from "../../runtime/contract/index.ts";

// Which errors of gradients refuse a candidate of `mtac tune --grad`.

const tensor = (...values: readonly number[]): Float64Tensor => ({
  shape: [values.length],
  data: Float64Array.from(values),
});

/** Large gradients of q, small ones of k, and those of a parameter of which little is left. */
const REFERENCE = new Map([
  ["o", tensor(1)],
  ["d_q", tensor(300, 400)],
  ["d_k", tensor(0.3, 0.4)],
  ["d_scores.conv.weight", tensor(0.03, 0.04)],
]);

function refused(changes: Readonly<Record<string, Float64Tensor | undefined>>): readonly string[] {
  const found = new Map(
    [...REFERENCE, ...Object.entries(changes)].flatMap(([name, value]) =>
      value === undefined ? [] : [[name, value] as const],
    ),
  );
  for (const [name, value] of Object.entries(changes)) if (value === undefined) found.delete(name);
  return compareGradients(found, REFERENCE, "f32").flatMap(({ tensor: name, ok }) => (ok ? [] : [name]));
}

test("what rows have of their own is judged by its own size, a sum over the call by that of all gradients", () => {
  expect(refused({})).toEqual([]);
  expect(refused({ d_k: tensor(0.3001, 0.4) })).toEqual(["d_k"]);
  expect(refused({ "d_scores.conv.weight": tensor(0.0301, 0.04) })).toEqual([]);
  expect(refused({ "d_scores.conv.weight": tensor(0.1, 0.04) })).toEqual(["d_scores.conv.weight"]);
});

test("a gradient that is missing or no number is refused, results are not looked at", () => {
  expect(refused({ d_q: undefined })).toEqual(["d_q"]);
  expect(refused({ d_q: tensor(Number.NaN, 400) })).toEqual(["d_q"]);
  expect(refused({ o: tensor(9) })).toEqual([]);
});
