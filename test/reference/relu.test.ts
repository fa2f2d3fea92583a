import { expect, test } from "vitest";
import { referenceForward, referenceGradients } from "../../runtime/reference/index.ts";
import { pipelineOf } from "../support/pipelines.ts";

/** One row against three keys: scores −2, 0 and 3 before relu, 0, 0 and 3 after it. */
const inputs = {
  q: { shape: [1, 1, 1, 1], data: Float64Array.of(1) },
  k: { shape: [1, 1, 3, 1], data: Float64Array.of(-2, 0, 3) },
  v: { shape: [1, 1, 3, 1], data: Float64Array.of(1, 2, 4) },
};
const pipeline = pipelineOf("attention a { heads 1 head_dim 1 scale 1 mask none scores { relu } }", "a");
const [low, high] = [1 / (2 + Math.exp(3)), Math.exp(3) / (2 + Math.exp(3))];

test("relu cuts negative scores off before the softmax", () => {
  const { o, lse } = referenceForward(pipeline, new Map(), inputs);
  expect(o.data[0]).toBeCloseTo(low * 3 + high * 4, 12);
  expect(lse?.data[0]).toBeCloseTo(Math.log(2 + Math.exp(3)), 12);
});

test("its gradient is 0 at scores of 0 and below, and passes through above", () => {
  const dO = { shape: [1, 1, 1, 1], data: Float64Array.of(1) };
  const { dK } = referenceGradients(pipeline, new Map(), inputs, dO);
  const o = low * 3 + high * 4;
  expect(dK.data[0]).toBe(0);
  expect(dK.data[1]).toBe(0);
  expect(dK.data[2]).toBeCloseTo(high * (4 - o), 12);
});
