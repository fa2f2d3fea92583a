/** ‖x − reference‖ / ‖reference‖; the norm itself where the reference is 0. Equal infinities differ by nothing. */
export function relativeError(values: ArrayLike<number>, reference: ArrayLike<number>): number {
  if (values.length !== reference.length) return Number.POSITIVE_INFINITY;
  let difference = 0;
  let size = 0;
  for (let index = 0; index < reference.length; index += 1) {
    const value = values[index] ?? Number.NaN;
    const expected = reference[index] ?? Number.NaN;
    if (value === expected && !Number.isFinite(value)) continue;
    difference += (value - expected) ** 2;
    size += expected ** 2;
  }
  return size === 0 ? Math.sqrt(difference) : Math.sqrt(difference / size);
}
