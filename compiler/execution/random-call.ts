import {
  type AttentionInputs,
  type CallShape,
  elementCount,
  type Float64Tensor,
  hasMask,
  type Pipeline,
  roundTo,
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
  options: { readonly seed: number; readonly layer: number | undefined; readonly grad: boolean },
): AttentionCall {
  const random = new Generator(options.seed);
  const { B, Lq, Lk, R } = shape;
  const { heads, kvHeads, headDim, valueDim, storage, scale } = pipeline;
  const stored = (sizes: readonly number[], spread: number): Float64Tensor => {
    const { data } = random.tensor(sizes, spread);
    return { shape: sizes, data: roundTo(storage, data) };
  };
  // The product of two such rows, times the scale, has SCORE_SPREAD as its standard deviation.
  const spread = Math.sqrt(SCORE_SPREAD / (Math.max(Math.abs(scale), 1e-3) * Math.sqrt(headDim)));
  const inputs: AttentionInputs<Float64Tensor> = {
    q: stored([B, heads, Lq, headDim], spread),
    k: stored([B, kvHeads, Lk, headDim], spread),
    v: stored([B, kvHeads, Lk, valueDim], 1),
    ...(R > 0 ? { qHistory: stored([B, heads, R, headDim], spread) } : {}),
    ...(hasMask(pipeline, "documents") ? { documents: randomDocuments(random, shape) } : {}),
    ...(hasMask(pipeline, "lengths") ? { lengths: randomLengths(random, shape) } : {}),
    ...(hasMask(pipeline, "bias") ? { bias: randomBias(random, pipeline, shape) } : {}),
    ...(options.layer === undefined ? {} : { layer: options.layer }),
  };
  const parameters = new Map<string, Float64Tensor>();
  for (const [name, { shape, data }] of randomParameters(pipeline, options.seed))
    parameters.set(name, { shape, data: Float64Array.from(data) });
  return { inputs, parameters, dO: options.grad ? stored([B, heads, Lq, valueDim], 1) : null };
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

function randomBias(random: Generator, { heads }: Pipeline, { B, Lq, Lk, R }: CallShape): Float64Tensor {
  const tensor = random.tensor([B, heads, R + Lq, Lk], 1);
  const data = tensor.data.map((value) => (random.uniform() < 0.1 ? Number.NEGATIVE_INFINITY : value));
  return { shape: tensor.shape, data: roundTo("f32", data) };
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
