import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { Float64Tensor } from "../../runtime/contract/index.ts";
import {
  type ReferenceGradients,
  referenceForward,
  referenceGradients,
} from "../../runtime/reference/index.ts";
import { type RandomCase, randomCase } from "../support/arbitrary.ts";
import { sparsemaxMargin } from "../support/conditioning.ts";
import { relativeError } from "../support/errors.ts";
import { Random } from "../support/random.ts";
import { runsOf, SEED } from "../support/seed.ts";
import { naiveForward } from "./naive.ts";

const runs = (count: number): fc.Parameters<unknown> => ({ seed: SEED, numRuns: runsOf(count) });

test(`the reference agrees with formulas written down naively (seed ${SEED})`, () => {
  fc.assert(
    fc.property(randomCase({ maxKeys: 14, maxHeads: 4, maxDim: 5, maxBatch: 2 }), (drawn) => {
      const { o, lse } = referenceForward(drawn.pipeline, drawn.parameters, drawn.inputs);
      const naive = naiveForward(drawn.pipeline, drawn.parameters, drawn.inputs);
      expect(relativeError(o.data, naive.o)).toBeLessThan(1e-10);
      expect(lse === null).toBe(drawn.pipeline.normalize === "sparsemax");
      if (lse !== null) expect(relativeError(lse.data, naive.lse)).toBeLessThan(1e-10);
    }),
    runs(150),
  );
});

/** Every tensor that has a gradient, with the gradient. */
function gradientPairs(
  drawn: RandomCase,
  found: ReferenceGradients,
): [string, Float64Tensor, Float64Tensor][] {
  const { inputs, parameters } = drawn;
  const pairs: [string, Float64Tensor, Float64Tensor][] = [
    ["q", inputs.q, found.dQ],
    ["k", inputs.k, found.dK],
    ["v", inputs.v, found.dV],
  ];
  if (inputs.qHistory !== undefined && found.dQHistory !== null) {
    pairs.push(["q_history", inputs.qHistory, found.dQHistory]);
  }
  if (inputs.bias !== undefined && found.dBias !== null) pairs.push(["bias", inputs.bias, found.dBias]);
  for (const [name, value] of parameters) {
    const gradient = found.parameters.get(name);
    if (gradient !== undefined) pairs.push([name, value, gradient]);
  }
  return pairs;
}

/** Σ o·dO with one tensor moved along a direction. */
function lossAt(drawn: RandomCase, name: string, direction: Float64Array, step: number): number {
  const move = (tensor: Float64Tensor): Float64Tensor => ({
    shape: tensor.shape,
    data: tensor.data.map((value, index) => value + step * (direction[index] ?? 0)),
  });
  const { inputs } = drawn;
  const parameters = new Map(
    [...drawn.parameters].map(([key, tensor]) => [key, key === name ? move(tensor) : tensor]),
  );
  const moved = {
    ...inputs,
    q: name === "q" ? move(inputs.q) : inputs.q,
    k: name === "k" ? move(inputs.k) : inputs.k,
    v: name === "v" ? move(inputs.v) : inputs.v,
    ...(name === "q_history" && inputs.qHistory !== undefined ? { qHistory: move(inputs.qHistory) } : {}),
    ...(name === "bias" && inputs.bias !== undefined ? { bias: move(inputs.bias) } : {}),
  };
  const { o } = referenceForward(drawn.pipeline, parameters, moved);
  return o.data.reduce((sum, value, index) => sum + value * (drawn.dO.data[index] ?? 0), 0);
}

const norm = (values: Float64Array): number =>
  Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));

function checkDirections(drawn: RandomCase, tolerance: number): void {
  const found = referenceGradients(drawn.pipeline, drawn.parameters, drawn.inputs, drawn.dO);
  const random = new Random(drawn.seed ^ 0xd1ff);
  const step = 1e-5;
  for (const [name, value, gradient] of gradientPairs(drawn, found)) {
    expect(gradient.shape).toEqual(value.shape);
    const direction = random.normals(value.data.length);
    const slope = gradient.data.reduce((sum, entry, index) => sum + entry * (direction[index] ?? 0), 0);
    const difference = (distance: number): number =>
      lossAt(drawn, name, direction, distance) - lossAt(drawn, name, direction, -distance);
    // Five points: a norm over few channels bends too sharply for three.
    const measuredWith = (step: number): number =>
      (8 * difference(step) - difference(2 * step)) / (12 * step);
    const measured = measuredWith(step);
    const scale = norm(gradient.data) * norm(direction) + 1e-3 * norm(drawn.dO.data) + 1e-12;
    // No step may carry a score over the edge of a relu, where its slope jumps: shorter steps then measure something else.
    if (drawn.pipeline.scores.some(({ kind }) => kind === "relu"))
      fc.pre(Math.abs(measuredWith(step / 4) - measured) / scale < tolerance / 2);
    expect(Math.abs(slope - measured) / scale, `d_${name}: ${slope} against ${measured}`).toBeLessThan(
      tolerance,
    );
  }
}

test(`gradients agree with finite differences, softmax (seed ${SEED})`, () => {
  const drawn = randomCase({ maxKeys: 16, maxHeads: 4, maxDim: 6, maxBatch: 2, normalizers: ["softmax"] });
  fc.assert(
    fc.property(drawn, (each) => checkDirections(each, 1e-5)),
    runs(120),
  );
});

test(`gradients agree with finite differences, sparsemax (seed ${SEED})`, () => {
  const drawn = randomCase({ maxKeys: 10, maxHeads: 2, maxDim: 5, maxBatch: 1, normalizers: ["sparsemax"] });
  fc.assert(
    fc.property(drawn, (each) => {
      // No step may carry an entry over the edge of its support, where the slope jumps.
      fc.pre(sparsemaxMargin(each) > 1e-3);
      checkDirections(each, 1e-5);
    }),
    runs(80),
  );
});

test(`full-size random cases have finite results and gradients (seed ${SEED})`, () => {
  fc.assert(
    fc.property(randomCase(), (drawn) => {
      const found = referenceGradients(drawn.pipeline, drawn.parameters, drawn.inputs, drawn.dO);
      expect(found.o.data.every(Number.isFinite)).toBe(true);
      for (const [name, , gradient] of gradientPairs(drawn, found)) {
        expect(gradient.data.every(Number.isFinite), name).toBe(true);
      }
    }),
    runs(60),
  );
});
