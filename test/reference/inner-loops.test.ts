import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { MaskTerm } from "../../runtime/contract/index.ts";
import { addDots, addProduct, type Matrix, matrixAt } from "../../runtime/reference/vector.ts";
import { forEachRectangle, isVisible, sightOf } from "../../runtime/reference/visibility.ts";
import { Random } from "../support/random.ts";
import { runsOf, SEED } from "../support/seed.ts";

const runs = (count: number): fc.Parameters<unknown> => ({ seed: SEED, numRuns: runsOf(count) });

const sizes = fc.record({
  rows: fc.integer({ min: 1, max: 9 }),
  count: fc.integer({ min: 1, max: 13 }),
  length: fc.integer({ min: 1, max: 11 }),
  // Rows one entry apart, as those of a kernel's taps; three apart, as with dilation; and rows that do not overlap.
  stride: fc.constantFrom(1, 3, 20),
  swapped: fc.boolean(),
  seed: fc.nat(),
});

const entryOf = ({ data, start, stride, step }: Matrix, row: number, column: number): number =>
  data[start + row * stride + column * step] ?? Number.NaN;

test(`products are what the formula says, at every size (seed ${SEED})`, () => {
  fc.assert(
    fc.property(sizes, ({ rows, count, length, stride, swapped, seed }) => {
      const random = new Random(seed);
      const source = matrixAt(random.normals(3 + 20 * count), 3, stride);
      const factors = swapped
        ? matrixAt(random.normals(2 + rows * count), 2, 1, rows)
        : matrixAt(random.normals(2 + rows * count), 2, count);
      const before = random.normals(1 + rows * 12 + 12);
      const target = matrixAt(before.slice(), 1, 12);
      addProduct(target, { factors, source, count }, rows, length);
      const expected = before.slice();
      for (let i = 0; i < rows; i += 1) {
        for (let n = 0; n < length; n += 1) {
          for (let m = 0; m < count; m += 1) {
            const at = 1 + i * 12 + n;
            expected[at] = (expected[at] ?? 0) + entryOf(factors, i, m) * entryOf(source, m, n);
          }
        }
      }
      target.data.forEach((value, at) => {
        expect(value).toBeCloseTo(expected[at] ?? Number.NaN, 10);
      });
      const dots = new Float64Array(count);
      addDots(dots, 0, before, 1, source, count, length);
      dots.forEach((value, m) => {
        let sum = 0;
        for (let n = 0; n < length; n += 1) sum += (before[1 + n] ?? 0) * entryOf(source, m, n);
        expect(value).toBeCloseTo(sum, 10);
      });
    }),
    runs(300),
  );
});

test(`a NaN reaches what the formula lets it, and nothing else (seed ${SEED})`, () => {
  fc.assert(
    fc.property(sizes, fc.nat(), ({ rows, count, length, stride, seed }, where) => {
      const random = new Random(seed);
      const poisoned = where % (stride * (count - 1) + length);
      const source = matrixAt(random.normals(20 * count), 0, stride);
      source.data[poisoned] = Number.NaN;
      const factors = matrixAt(random.normals(rows * count), 0, count);
      const target = matrixAt(new Float64Array(rows * length), 0, length);
      addProduct(target, { factors, source, count }, rows, length);
      for (let n = 0; n < length; n += 1) {
        const reached = Array.from({ length: count }, (_, m) => m * stride + n).includes(poisoned);
        for (let i = 0; i < rows; i += 1) expect(Number.isNaN(entryOf(target, i, n))).toBe(reached);
      }
    }),
    runs(300),
  );
});

const KINDS: readonly MaskTerm[] = [
  { kind: "causal" },
  { kind: "window", size: 5 },
  { kind: "documents" },
  { kind: "bias" },
];

test(`rectangles are all that is visible, each entry once (seed ${SEED})`, () => {
  const drawn = fc.record({
    mask: fc.subarray([...KINDS]),
    rows: fc.integer({ min: 1, max: 14 }),
    keys: fc.integer({ min: 1, max: 14 }),
    firstPosition: fc.integer({ min: 0, max: 14 }),
    hidden: fc.double({ min: 0, max: 1, noNaN: true }),
    seed: fc.nat(),
  });
  fc.assert(
    fc.property(drawn, ({ mask, rows, keys, firstPosition, hidden, seed }) => {
      const heads = 2;
      const random = new Random(seed);
      const data = random.normals(heads * rows * keys).map((value) => {
        return Math.abs(value) < hidden ? Number.NEGATIVE_INFINITY : value;
      });
      const documents = random.normals(keys).map((value) => Math.floor(value));
      const bias = { data, start: 0, headStride: rows * keys };
      const sight = sightOf({ mask, heads, rows, keys, firstPosition, documents, length: keys, bias });
      for (const firstRow of [0, Math.min(2, rows)]) {
        const times = new Uint8Array(heads * rows * keys);
        forEachRectangle(sight, firstRow, (head, row, key, rowCount, keyCount) => {
          for (let i = row; i < row + rowCount; i += 1) {
            for (let j = key; j < key + keyCount; j += 1) {
              const at = (head * rows + i) * keys + j;
              times[at] = (times[at] ?? 0) + 1;
            }
          }
        });
        times.forEach((count, at) => {
          const row = Math.floor(at / keys) % rows;
          const seen = row >= firstRow && isVisible(sight, Math.floor(at / keys / rows), row, at % keys);
          expect(count).toBe(seen ? 1 : 0);
        });
      }
    }),
    runs(200),
  );
});
