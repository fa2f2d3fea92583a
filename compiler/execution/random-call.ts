import {
  type AxisName,
  type CallShape,
  elementCount,
  type Float64Tensor,
  makeInputs,
  O,
  type Pipeline,
  roundTo,
  shapeOf,
  tensorExists,
} from "../../runtime/contract/index.ts";
import { randomParameters } from "../../runtime/contract/init.ts";
import type { AttentionCall } from "./request.ts";

/** Spread of the raw scores: wide enough for a peaked softmax, small enough for every storage type. */
const SCORE_SPREAD = 1.5;

/**
 * Random inputs and parameters for `verify`. Parameters never follow `init`: an identity convolution tests nothing.
 * The same seed gives the same call.
 */
export function randomCall(
  pipeline: Pipeline,
  shape: CallShape,
  options: {
    readonly seed: number;
    readonly layer: number | undefined;
    readonly grad: boolean;
    readonly drops?: boolean;
  },
): AttentionCall {
  const random = new Generator(options.seed);
  const { headDim, storage, scale } = pipeline;
  const stored = (axes: readonly AxisName[], spread: number): Float64Tensor => {
    const tensor = random.tensor(shapeOf(pipeline, axes, shape), spread);
    return { shape: tensor.shape, data: roundTo(storage, tensor.data) };
  };
  // The product of two such rows, times the scale, has SCORE_SPREAD as its standard deviation.
  const spread = Math.sqrt(SCORE_SPREAD / (Math.max(Math.abs(scale), 1e-3) * Math.sqrt(headDim)));
  const inputs = makeInputs((input): Float64Tensor | undefined => {
    if (!tensorExists(pipeline, input)) return undefined;
    switch (input.name) {
      case "q":
      case "k":
        return stored(input.axes, spread);
      case "v":
        return stored(input.axes, 1);
      case "q_history":
        return shape.R > 0 ? stored(input.axes, spread) : undefined;
      case "documents":
        return randomDocuments(random, shape);
      case "lengths":
        return randomLengths(random, shape);
      case "bias":
        return randomBias(random, shapeOf(pipeline, input.axes, shape));
      case "dropout_seed":
        return options.drops === true ? random.words(2) : undefined;
      case "positions":
        return undefined;
    }
  }, options.layer);
  const parameters = new Map<string, Float64Tensor>();
  for (const [name, { shape, data }] of randomParameters(pipeline, options.seed))
    parameters.set(name, { shape, data: Float64Array.from(data) });
  return { inputs, parameters, dO: options.grad ? stored(O.axes, 1) : null };
}

/** A few documents one after the other, and a hidden key here and there. */
function randomDocuments(random: Generator, { B, Lk }: CallShape): Float64Tensor {
  const data = new Float64Array(B * Lk);
  for (let batch = 0; batch < B; batch++) {
    let document = 0;
    for (let key = 0; key < Lk; key++) {
      if (random.uniform() < 4 / Lk) document++;
      data[batch * Lk + key] = random.uniform() < 0.03 ? -1 : document;
    }
  }
  return { shape: [B, Lk], data };
}

function randomLengths(random: Generator, { B, Lk }: CallShape): Float64Tensor {
  const data = Float64Array.from({ length: B }, () => Math.ceil(Lk * (0.5 + 0.5 * random.uniform())));
  return { shape: [B], data };
}

function randomBias(random: Generator, shape: readonly number[]): Float64Tensor {
  const tensor = random.tensor(shape, 1);
  const data = tensor.data.map((value) => (random.uniform() < 0.1 ? Number.NEGATIVE_INFINITY : value));
  return { shape, data: roundTo("f32", data) };
}

/** xorshift128 (Marsaglia 2003), seeded through a linear congruential generator; normal numbers by the polar method. */
class Generator {
  readonly #state = new Uint32Array(4);

  constructor(seed: number) {
    let word = (seed ^ 0x6d746163) >>> 0;
    for (let index = 0; index < 4; index++) {
      word = (Math.imul(word, 1664525) + 1013904223) >>> 0;
      this.#state[index] = word | 1;
    }
    for (let round = 0; round < 16; round++) this.uniform();
  }

  /** In [0, 1). */
  uniform(): number {
    const [x = 1, y = 1, z = 1, w = 1] = this.#state;
    const t = (x ^ (x << 11)) >>> 0;
    const next = (w ^ (w >>> 19) ^ t ^ (t >>> 8)) >>> 0;
    this.#state.set([y, z, w, next]);
    return next / 2 ** 32;
  }

  /** Integers of 32 bits. */
  words(count: number): Float64Tensor {
    const data = Float64Array.from({ length: count }, () => Math.floor(this.uniform() * 2 ** 32) | 0);
    return { shape: [count], data };
  }

  normal(): number {
    for (;;) {
      const x = 2 * this.uniform() - 1;
      const y = 2 * this.uniform() - 1;
      const square = x * x + y * y;
      if (square > 0 && square < 1) return x * Math.sqrt((-2 * Math.log(square)) / square);
    }
  }

  tensor(shape: readonly number[], spread: number, mean = 0): Float64Tensor {
    const data = new Float64Array(elementCount(shape));
    for (let index = 0; index < data.length; index++) data[index] = mean + spread * this.normal();
    return { shape, data };
  }
}
