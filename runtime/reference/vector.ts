/** target[t + n] += factor · source[s + n] for n < length. The one inner loop of convolutions, mixes and products. */
export function addScaled(
  target: Float64Array,
  targetStart: number,
  source: Float64Array,
  sourceStart: number,
  length: number,
  factor: number,
): void {
  for (let n = 0; n < length; n += 1) {
    target[targetStart + n] = (target[targetStart + n] ?? 0) + factor * (source[sourceStart + n] ?? 0);
  }
}

/** Σ_n left[l + n] · right[r + n] for n < length. */
export function dot(
  left: Float64Array,
  leftStart: number,
  right: Float64Array,
  rightStart: number,
  length: number,
): number {
  let sum = 0;
  for (let n = 0; n < length; n += 1) sum += (left[leftStart + n] ?? 0) * (right[rightStart + n] ?? 0);
  return sum;
}

/** values[index] += addend. */
export function accumulate(values: Float64Array, index: number, addend: number): void {
  values[index] = (values[index] ?? 0) + addend;
}
