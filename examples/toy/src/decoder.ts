// The decoder of examples/pytorch/toy/model.py, for one sequence. What surrounds the attention is small here, and computed in plain loops.
import { readParameters } from "mtac/runtime";

/** What the model looks like, as it was trained: scale `small` of examples/pytorch. */
export const SHAPE = { vocabulary: 32, dim: 64, layers: 3, heads: 2, hidden: 192 } as const;

const ROTARY_BASE = 1e5;
const EPSILON = 1e-5;

/** Rows of equally many channels, row-major. */
export interface Matrix {
  readonly columns: number;
  readonly data: Float32Array;
}

/** What a layer's attention gets: each [heads, rows, channels of a head], row-major. */
export interface AttentionRows {
  readonly q: Float32Array;
  readonly k: Float32Array;
  readonly v: Float32Array;
}

/** Computes a layer's attention, [heads, rows, channels of a head]. */
export type Attend = (layer: number, rows: AttentionRows) => Promise<Float32Array>;

/** Values, row-major. */
export interface Tensor<Values> {
  readonly shape: readonly number[];
  readonly data: Values;
}

/** The tensors of a checkpoint beside those of its attentions, by the names that PyTorch gives them. */
export type Weights = Readonly<Record<string, Tensor<Float32Array>>>;

/**
 * Reads the weights that `python -m toy.export` wrote.
 * @throws MtacError MTA651 … MTA664, where the file is none, or of another model
 */
export function readWeights(bytes: ArrayBuffer, file: string): Weights {
  const { vocabulary, dim, layers, hidden } = SHAPE;
  const shapes: Record<string, readonly number[]> = {
    "embedding.weight": [vocabulary, dim],
    "norm.weight": [dim],
  };
  for (let layer = 0; layer < layers; layer++) {
    const block = `blocks.${layer}.`;
    shapes[`${block}attention_norm.weight`] = [dim];
    shapes[`${block}qkv.weight`] = [3 * dim, dim];
    shapes[`${block}output.weight`] = [dim, dim];
    shapes[`${block}network_norm.weight`] = [dim];
    shapes[`${block}gate_up.weight`] = [2 * hidden, dim];
    shapes[`${block}down.weight`] = [dim, hidden];
  }
  const like = Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => {
      const data = new Float32Array(shape.reduce((product, size) => product * size, 1));
      return [name, { shape, data }];
    }),
  );
  return readParameters(bytes, like, { file });
}

/**
 * The logits of each token's successor, [tokens, vocabulary].
 * @param tokens numbers below `SHAPE.vocabulary`
 */
export async function logitsOf(weights: Weights, tokens: readonly number[], attend: Attend): Promise<Matrix> {
  const { dim, layers, hidden } = SHAPE;
  const embedding = matrixOf(weights, "embedding.weight");
  const x = new Float32Array(tokens.length * dim);
  tokens.forEach((token, row) => {
    x.set(embedding.data.subarray(token * dim, (token + 1) * dim), row * dim);
  });
  for (let layer = 0; layer < layers; layer++) {
    const block = `blocks.${layer}.`;
    const qkv = linear(
      normalised(x, weights, `${block}attention_norm.weight`),
      matrixOf(weights, `${block}qkv.weight`),
    );
    const o = await attend(layer, {
      q: rotated(headsOf(qkv, 0)),
      k: rotated(headsOf(qkv, 1)),
      v: headsOf(qkv, 2),
    });
    add(x, linear(sideBySide(o), matrixOf(weights, `${block}output.weight`)));
    const gateUp = linear(
      normalised(x, weights, `${block}network_norm.weight`),
      matrixOf(weights, `${block}gate_up.weight`),
    );
    add(x, linear(swiGlu(gateUp, hidden), matrixOf(weights, `${block}down.weight`)));
  }
  return linear(normalised(x, weights, "norm.weight"), embedding);
}

function matrixOf(weights: Weights, name: string): Matrix {
  const found = weights[name];
  if (found === undefined) throw new RangeError(`there is no weight ${name}`);
  return { columns: found.shape.at(-1) ?? 1, data: found.data };
}

/** x · weightᵀ */
function linear(x: Matrix, weight: Matrix): Matrix {
  const { columns: channels } = weight;
  const rows = x.data.length / channels;
  const columns = weight.data.length / channels;
  const data = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    const from = x.data.subarray(row * channels, (row + 1) * channels);
    for (let column = 0; column < columns; column++) {
      let sum = 0;
      const start = column * channels;
      for (let channel = 0; channel < channels; channel++)
        sum += (from[channel] ?? 0) * (weight.data[start + channel] ?? 0);
      data[row * columns + column] = sum;
    }
  }
  return { columns, data };
}

/** RMSNorm (arXiv 1910.07467). */
function normalised(x: Float32Array, weights: Weights, name: string): Matrix {
  const { columns, data: scale } = matrixOf(weights, name);
  const data = new Float32Array(x.length);
  for (let start = 0; start < x.length; start += columns) {
    const row = x.subarray(start, start + columns);
    const square = row.reduce((sum, value) => sum + value * value, 0) / columns;
    const factor = 1 / Math.sqrt(square + EPSILON);
    row.forEach((value, column) => {
      data[start + column] = value * factor * (scale[column] ?? 0);
    });
  }
  return { columns, data };
}

/** q, k or v of rows that hold all three: [heads, rows, channels of a head]. */
function headsOf({ columns, data }: Matrix, part: number): Float32Array {
  const { heads, dim } = SHAPE;
  const channels = dim / heads;
  const rows = data.length / columns;
  const result = new Float32Array(rows * dim);
  for (let head = 0; head < heads; head++)
    for (let row = 0; row < rows; row++) {
      const from = row * columns + part * dim + head * channels;
      result.set(data.subarray(from, from + channels), (head * rows + row) * channels);
    }
  return result;
}

/** Heads' results, one after the other in each row. */
function sideBySide(o: Float32Array): Matrix {
  const { heads, dim } = SHAPE;
  const channels = dim / heads;
  const rows = o.length / dim;
  const data = new Float32Array(o.length);
  for (let head = 0; head < heads; head++)
    for (let row = 0; row < rows; row++) {
      const from = (head * rows + row) * channels;
      data.set(o.subarray(from, from + channels), row * dim + head * channels);
    }
  return { columns: dim, data };
}

/** Rotary positions (arXiv 2104.09864), of pairs of neighbouring channels. */
function rotated(x: Float32Array): Float32Array {
  const { heads, dim } = SHAPE;
  const channels = dim / heads;
  const rows = x.length / dim;
  const result = new Float32Array(x.length);
  for (let index = 0; index < x.length; index += 2) {
    const row = Math.floor(index / channels) % rows;
    const angle = row * ROTARY_BASE ** (-(index % channels) / channels);
    const [cosine, sine] = [Math.cos(angle), Math.sin(angle)];
    const [real, imaginary] = [x[index] ?? 0, x[index + 1] ?? 0];
    result[index] = real * cosine - imaginary * sine;
    result[index + 1] = real * sine + imaginary * cosine;
  }
  return result;
}

/** silu(gate) · up (arXiv 2002.05202), of rows that hold first one, then the other. */
function swiGlu({ columns, data }: Matrix, hidden: number): Matrix {
  const rows = data.length / columns;
  const result = new Float32Array(rows * hidden);
  for (let row = 0; row < rows; row++)
    for (let channel = 0; channel < hidden; channel++) {
      const gate = data[row * columns + channel] ?? 0;
      const up = data[row * columns + hidden + channel] ?? 0;
      result[row * hidden + channel] = (gate / (1 + Math.exp(-gate))) * up;
    }
  return { columns: hidden, data: result };
}

function add(x: Float32Array, { data }: Matrix): void {
  data.forEach((value, index) => {
    x[index] = (x[index] ?? 0) + value;
  });
}
