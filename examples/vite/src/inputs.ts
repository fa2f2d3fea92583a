/** A tensor on the host: values that f32 holds exactly, row-major. */
export interface RandomTensor {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

/** Values between -1 and 1; the same seed gives the same ones everywhere (Marsaglia's xorshift). */
export function randomTensor(seed: number, shape: readonly number[]): RandomTensor {
  let state = seed;
  const data = new Float64Array(shape.reduce((product, size) => product * size, 1));
  for (let index = 0; index < data.length; index++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    data[index] = Math.fround(state / 2 ** 31);
  }
  return { shape, data };
}
