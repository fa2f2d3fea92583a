/* Gradients of the weights of convolutions and mixes: sums of products of two maps, as vectors, added up last. */
#ifndef MTAC_CORRELATE_H
#define MTAC_CORRELATE_H

#include "attention.h"

#if WITH_CONV
/* Sums that stay in registers. */
enum { CORRELATED = LANES == 16 ? 24 : 10, MOST_TAPS = 8 };

/*
 * Row r of the input meets row r - a of the gradient, for `taps` values of a, and `shifts` neighbouring columns:
 * sums[a][b] += gradient[-a] input[b].
 */
INLINE void correlate_rows(
    const int taps, const int shifts, const float *gradient, int64_t gradient_pitch, const float *input, int step,
    int columns, vec *sums, int sums_pitch) {
  vec s[MOST_TAPS][4];
  UNROLL for (int a = 0; a < taps; a++)
    UNROLL for (int b = 0; b < shifts; b++) s[a][b] = sums[a * sums_pitch + b];
  KEEP_LOOP for (int column = 0; column < columns; column += LANES) {
    vec x[4];
    UNROLL for (int b = 0; b < shifts; b++) x[b] = load(input + column + b * step);
    UNROLL for (int a = 0; a < taps; a++) {
      const vec y = load(gradient - a * gradient_pitch + column);
      UNROLL for (int b = 0; b < shifts; b++) s[a][b] = multiply_add(y, x[b], s[a][b]);
    }
  }
  UNROLL for (int a = 0; a < taps; a++)
    UNROLL for (int b = 0; b < shifts; b++) sums[a * sums_pitch + b] = s[a][b];
}

/* All taps along the keys. */
INLINE void correlate_taps(
    const int taps, int taps_key, const float *gradient, int64_t gradient_pitch, const float *input, int step,
    int columns, vec *sums) {
  const int most_shifts = CORRELATED / taps < 1 ? 1 : CORRELATED / taps;
  int b = 0;
  if (most_shifts >= 4)
    for (; b + 4 <= taps_key; b += 4)
      correlate_rows(taps, 4, gradient, gradient_pitch, input + b * step, step, columns, sums + b, taps_key);
  if (most_shifts >= 3)
    for (; b + 3 <= taps_key; b += 3)
      correlate_rows(taps, 3, gradient, gradient_pitch, input + b * step, step, columns, sums + b, taps_key);
  if (most_shifts >= 2)
    for (; b + 2 <= taps_key; b += 2)
      correlate_rows(taps, 2, gradient, gradient_pitch, input + b * step, step, columns, sums + b, taps_key);
  for (; b < taps_key; b++)
    correlate_rows(taps, 1, gradient, gradient_pitch, input + b * step, step, columns, sums + b, taps_key);
}

#define DEFINE_CORRELATE(taps) \
  NOINLINE void correlate_##taps( \
      int taps_key, const float *gradient, int64_t gradient_pitch, const float *input, int step, int columns, \
      vec *sums) { \
    correlate_taps(taps, taps_key, gradient, gradient_pitch, input, step, columns, sums); \
  }

DEFINE_CORRELATE(1)
DEFINE_CORRELATE(2)
DEFINE_CORRELATE(3)
DEFINE_CORRELATE(4)
DEFINE_CORRELATE(5)
DEFINE_CORRELATE(6)
DEFINE_CORRELATE(7)
DEFINE_CORRELATE(8)

#define CASE_CORRELATE(taps) \
  case taps: \
    correlate_##taps(taps_key, gradient, gradient_pitch, input, step, columns, sums); \
    break;

/* A switch, not a table: modules of WebAssembly that share a memory may have no data of their own. */
static void correlate_some(
    int taps, int taps_key, const float *gradient, int64_t gradient_pitch, const float *input, int step, int columns,
    vec *sums) {
  switch (taps) {
    CASE_CORRELATE(1)
    CASE_CORRELATE(2)
    CASE_CORRELATE(3)
    CASE_CORRELATE(4)
    CASE_CORRELATE(5)
    CASE_CORRELATE(6)
    CASE_CORRELATE(7)
    CASE_CORRELATE(8)
  }
}

/*
 * sums[a][b] += gradient[i][j] input[i + a dilation_query][j + b dilation_key], over `rows` rows and whole vectors of
 * columns. `input` is where tap (0, 0) of row 0 reads.
 */
static void correlate(
    const struct stage *stage, const float *gradient, int64_t gradient_pitch, const float *input, int64_t input_pitch,
    int rows, int columns, vec *sums) {
  const int apart = stage->dilation_query;
  for (int row = 0; row < rows + (stage->taps_query - 1) * apart; row++) {
    const int last = least(stage->taps_query - 1, row / apart);
    int tap = row < rows ? 0 : (row - rows) / apart + 1;
    for (; tap <= last; tap += MOST_TAPS)
      correlate_some(
          least(MOST_TAPS, last - tap + 1), stage->taps_key, gradient + (int64_t)(row - tap * apart) * gradient_pitch,
          apart * gradient_pitch, input + row * input_pitch, stage->dilation_key, columns,
          sums + tap * stage->taps_key);
  }
}
#endif

#if WITH_MIX
/* Heads and columns that a pass over a mix's maps takes: what it reads stays in the first cache. */
enum { PRODUCT_HEADS = LANES == 16 ? 4 : 2, PRODUCT_COLUMNS = 256 };

INLINE void multiply_heads(
    const int outputs, const int inputs, const float *gradient, int64_t gradient_pitch, const float *input,
    int64_t input_pitch, int columns, vec *sums, int group) {
  vec s[PRODUCT_HEADS][PRODUCT_HEADS];
  UNROLL for (int m = 0; m < outputs; m++)
    UNROLL for (int n = 0; n < inputs; n++) s[m][n] = sums[m * group + n];
  KEEP_LOOP for (int column = 0; column < columns; column += LANES) {
    vec x[PRODUCT_HEADS];
    UNROLL for (int n = 0; n < inputs; n++) x[n] = load(input + n * input_pitch + column);
    UNROLL for (int m = 0; m < outputs; m++) {
      const vec y = load(gradient + m * gradient_pitch + column);
      UNROLL for (int n = 0; n < inputs; n++) s[m][n] = multiply_add(y, x[n], s[m][n]);
    }
  }
  UNROLL for (int m = 0; m < outputs; m++)
    UNROLL for (int n = 0; n < inputs; n++) sums[m * group + n] = s[m][n];
}

/* sums[m][n] += gradient[m] . input[n], of one row of all heads of a group. */
NOINLINE void multiply_group(
    const float *gradient, int64_t gradient_pitch, const float *input, int64_t input_pitch, int group, int columns,
    vec *sums) {
  for (int column = 0; column < columns; column += PRODUCT_COLUMNS) {
    const int count = least(PRODUCT_COLUMNS, columns - column);
    int m = 0;
    for (; m + PRODUCT_HEADS <= group; m += PRODUCT_HEADS) {
      const float *y = gradient + m * gradient_pitch + column;
      int n = 0;
      for (; n + PRODUCT_HEADS <= group; n += PRODUCT_HEADS)
        multiply_heads(
            PRODUCT_HEADS, PRODUCT_HEADS, y, gradient_pitch, input + n * input_pitch + column, input_pitch, count,
            sums + m * group + n, group);
      for (; n < group; n++)
        multiply_heads(
            PRODUCT_HEADS, 1, y, gradient_pitch, input + n * input_pitch + column, input_pitch, count,
            sums + m * group + n, group);
    }
    for (; m < group; m++)
      for (int n = 0; n < group; n++)
        multiply_heads(
            1, 1, gradient + m * gradient_pitch + column, gradient_pitch, input + n * input_pitch + column,
            input_pitch, count, sums + m * group + n, group);
  }
}
#endif

#endif
