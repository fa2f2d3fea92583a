/*
 * The inner loops of the reference, where nearly all of its time passes. An access to an array costs an engine of JavaScript
 * more than a multiplication, so that each loop works on four rows or entries at once: what it loads serves four.
 */

/** A matrix within an array. Its rows may overlap: so the taps of a kernel are rows of a map. */
export interface Matrix {
  readonly data: Float64Array;
  readonly start: number;
  /** From row to row. */
  readonly stride: number;
  /** From entry to entry of a row: 1, but with stride and step swapped a matrix is its transpose. */
  readonly step: number;
}

/** Makes them all, so that the engine meets a single kind of object. */
export function matrixAt(data: Float64Array, start: number, stride: number, step = 1): Matrix {
  return { data, start, stride, step };
}

/** Rows of which row i is Σ_m factors(i, m) · source row m, for m < count. */
export interface Product {
  readonly factors: Matrix;
  /** Step 1. */
  readonly source: Matrix;
  readonly count: number;
}

/** Adds rows of a product to those of a target, `length` entries each: what nearly every formula here comes down to. */
export function addProduct(target: Matrix, product: Product, rows: number, length: number): void {
  const { source, count } = product;
  const fourRows = rows - (rows % 4);
  const fourSources = count - (count % 4);
  for (let i = 0; i < fourRows; i += 4) {
    for (let m = 0; m < fourSources; m += 4) addFourToFour(target, product, i, m, length);
    for (let rest = i; rest < i + 4; rest += 1) addToOne(target, product, rest, fourSources, length);
  }
  for (let i = fourRows; i < rows; i += 1) {
    if (source.stride === 1 && count >= 4) addWindows(target, product, i, length);
    else addToOne(target, product, i, 0, length);
  }
}

/** Adds four source rows from m on to four target rows from i on. */
function addFourToFour(
  target: Matrix,
  { factors, source }: Product,
  i: number,
  m: number,
  length: number,
): void {
  const { data: x, stride } = source;
  const x0 = source.start + m * stride;
  const x1 = x0 + stride;
  const x2 = x1 + stride;
  const x3 = x2 + stride;
  const f00 = factorAt(factors, i, m);
  const f01 = factorAt(factors, i, m + 1);
  const f02 = factorAt(factors, i, m + 2);
  const f03 = factorAt(factors, i, m + 3);
  const f10 = factorAt(factors, i + 1, m);
  const f11 = factorAt(factors, i + 1, m + 1);
  const f12 = factorAt(factors, i + 1, m + 2);
  const f13 = factorAt(factors, i + 1, m + 3);
  const f20 = factorAt(factors, i + 2, m);
  const f21 = factorAt(factors, i + 2, m + 1);
  const f22 = factorAt(factors, i + 2, m + 2);
  const f23 = factorAt(factors, i + 2, m + 3);
  const f30 = factorAt(factors, i + 3, m);
  const f31 = factorAt(factors, i + 3, m + 1);
  const f32 = factorAt(factors, i + 3, m + 2);
  const f33 = factorAt(factors, i + 3, m + 3);
  const y = target.data;
  const y0 = target.start + i * target.stride;
  const y1 = y0 + target.stride;
  const y2 = y1 + target.stride;
  const y3 = y2 + target.stride;
  for (let n = 0; n < length; n += 1) {
    const a = x[x0 + n] ?? 0;
    const b = x[x1 + n] ?? 0;
    const c = x[x2 + n] ?? 0;
    const d = x[x3 + n] ?? 0;
    const sum0 = (y[y0 + n] ?? 0) + (f00 * a + f01 * b + (f02 * c + f03 * d));
    const sum1 = (y[y1 + n] ?? 0) + (f10 * a + f11 * b + (f12 * c + f13 * d));
    const sum2 = (y[y2 + n] ?? 0) + (f20 * a + f21 * b + (f22 * c + f23 * d));
    const sum3 = (y[y3 + n] ?? 0) + (f30 * a + f31 * b + (f32 * c + f33 * d));
    y[y0 + n] = sum0;
    y[y1 + n] = sum1;
    y[y2 + n] = sum2;
    y[y3 + n] = sum3;
  }
}

function factorAt({ data, start, stride, step }: Matrix, i: number, m: number): number {
  return data[start + i * stride + m * step] ?? 0;
}

/**
 * Adds the source rows from `first` on to target row i. What is missing to four repeats the last row with factor 0, and so
 * reaches nothing that this row does not.
 */
function addToOne(
  target: Matrix,
  { factors, source, count }: Product,
  i: number,
  first: number,
  length: number,
): void {
  const { data: x, start, stride } = source;
  const y = target.data;
  const y0 = target.start + i * target.stride;
  const last = count - 1;
  for (let m = first; m <= last; m += 4) {
    const x0 = start + m * stride;
    const x1 = start + Math.min(m + 1, last) * stride;
    const x2 = start + Math.min(m + 2, last) * stride;
    const x3 = start + Math.min(m + 3, last) * stride;
    const f0 = factorAt(factors, i, m);
    const f1 = m + 1 > last ? 0 : factorAt(factors, i, m + 1);
    const f2 = m + 2 > last ? 0 : factorAt(factors, i, m + 2);
    const f3 = m + 3 > last ? 0 : factorAt(factors, i, m + 3);
    for (let n = 0; n < length; n += 1) {
      const front = f0 * (x[x0 + n] ?? 0) + f1 * (x[x1 + n] ?? 0);
      y[y0 + n] = (y[y0 + n] ?? 0) + (front + (f2 * (x[x2 + n] ?? 0) + f3 * (x[x3 + n] ?? 0)));
    }
  }
}

/**
 * Adds all source rows to target row i, where each begins one entry after the last: entry n takes what lies from n on, and
 * seven entries serve sixteen products. The last four rows may overlap those before, which then have factor 0.
 */
function addWindows(target: Matrix, { factors, source, count }: Product, i: number, length: number): void {
  const x = source.data;
  const y = target.data;
  const y0 = target.start + i * target.stride;
  const whole = length - (length % 4);
  for (let first = 0; first < count; first += 4) {
    const m = Math.min(first, count - 4);
    const x0 = source.start + m;
    const f0 = m < first ? 0 : factorAt(factors, i, m);
    const f1 = m + 1 < first ? 0 : factorAt(factors, i, m + 1);
    const f2 = m + 2 < first ? 0 : factorAt(factors, i, m + 2);
    const f3 = factorAt(factors, i, m + 3);
    let a = x[x0] ?? 0;
    let b = x[x0 + 1] ?? 0;
    let c = x[x0 + 2] ?? 0;
    for (let n = 0; n < whole; n += 4) {
      const d = x[x0 + n + 3] ?? 0;
      const e = x[x0 + n + 4] ?? 0;
      const f = x[x0 + n + 5] ?? 0;
      const g = x[x0 + n + 6] ?? 0;
      y[y0 + n] = (y[y0 + n] ?? 0) + (f0 * a + f1 * b + (f2 * c + f3 * d));
      y[y0 + n + 1] = (y[y0 + n + 1] ?? 0) + (f0 * b + f1 * c + (f2 * d + f3 * e));
      y[y0 + n + 2] = (y[y0 + n + 2] ?? 0) + (f0 * c + f1 * d + (f2 * e + f3 * f));
      y[y0 + n + 3] = (y[y0 + n + 3] ?? 0) + (f0 * d + f1 * e + (f2 * f + f3 * g));
      a = e;
      b = f;
      c = g;
    }
    for (let n = whole; n < length; n += 1) {
      const d = x[x0 + n + 3] ?? 0;
      y[y0 + n] = (y[y0 + n] ?? 0) + (f0 * a + f1 * b + (f2 * c + f3 * d));
      a = b;
      b = c;
      c = d;
    }
  }
}

/** target[t + m] += Σ_n left[l + n] · right row m at n, for m < count, n < length: one row times each of several. */
export function addDots(
  target: Float64Array,
  t: number,
  left: Float64Array,
  l: number,
  right: Matrix,
  count: number,
  length: number,
): void {
  const x = right.data;
  for (let m = 0; m < count; m += 4) {
    const x0 = right.start + m * right.stride;
    const x1 = right.start + Math.min(m + 1, count - 1) * right.stride;
    const x2 = right.start + Math.min(m + 2, count - 1) * right.stride;
    const x3 = right.start + Math.min(m + 3, count - 1) * right.stride;
    let sum0 = 0;
    let sum1 = 0;
    let sum2 = 0;
    let sum3 = 0;
    for (let n = 0; n < length; n += 1) {
      const value = left[l + n] ?? 0;
      sum0 += value * (x[x0 + n] ?? 0);
      sum1 += value * (x[x1 + n] ?? 0);
      sum2 += value * (x[x2 + n] ?? 0);
      sum3 += value * (x[x3 + n] ?? 0);
    }
    accumulate(target, t + m, sum0);
    if (m + 1 < count) accumulate(target, t + m + 1, sum1);
    if (m + 2 < count) accumulate(target, t + m + 2, sum2);
    if (m + 3 < count) accumulate(target, t + m + 3, sum3);
  }
}

/** Σ_n left[l + n] · right[r + n] for n < length. */
export function dot(left: Float64Array, l: number, right: Float64Array, r: number, length: number): number {
  let sum = 0;
  for (let n = 0; n < length; n += 1) sum += (left[l + n] ?? 0) * (right[r + n] ?? 0);
  return sum;
}

/** values[index] += addend. */
export function accumulate(values: Float64Array, index: number, addend: number): void {
  values[index] = (values[index] ?? 0) + addend;
}

/** Whether none of values[start + n] for n < length is NaN or infinite. */
export function allFinite(values: Float64Array, start: number, length: number): boolean {
  for (let n = start; n < start + length; n += 1) if (!Number.isFinite(values[n])) return false;
  return true;
}
