/** How a subject's time grows with the length: time ≈ c · L^exponent. */
export interface Growth {
  readonly exponent: number;
  /** Root mean square of ln(time) − ln(fit): 0.1 means that times lie some 10 % off the fitted power. */
  readonly residual: number;
  /** Lengths that the fit is of. */
  readonly lengths: readonly number[];
}

/**
 * Least squares of ln(time) over ln(L); null for fewer than two lengths.
 * @param points Lengths, and times in any one unit, both above 0.
 */
export function growthOf(
  points: readonly { readonly length: number; readonly time: number }[],
): Growth | null {
  const xs = points.map(({ length }) => Math.log(length));
  const ys = points.map(({ time }) => Math.log(time));
  const meanX = mean(xs);
  const meanY = mean(ys);
  const variance = mean(xs.map((x) => (x - meanX) ** 2));
  if (new Set(xs).size < 2) return null;
  const exponent = mean(xs.map((x, index) => (x - meanX) * ((ys[index] ?? meanY) - meanY))) / variance;
  const squares = xs.map((x, index) => ((ys[index] ?? meanY) - meanY - exponent * (x - meanX)) ** 2);
  return { exponent, residual: Math.sqrt(mean(squares)), lengths: points.map(({ length }) => length) };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
