/* Gradients of the weights of convolutions and mixes: sums of products of two maps, as vectors, added up last. */
#ifndef MTAC_CORRELATE_H
#define MTAC_CORRELATE_H

#include "span.h"

#if WITH_CONV
/*
 * Rows of the gradient that are held in registers while the input goes by; taps along the queries and along the keys
 * whose sums stay in registers beside them.
 */
enum { MOST_TAPS = 6 };
#if LANES == 16
enum { HELD_ROWS = 4, SHIFTS = 4 };
#elif LANES == 8
enum { HELD_ROWS = 2, SHIFTS = 2 };
#else
enum { HELD_ROWS = 2, SHIFTS = 1 };
#endif

/*
 * `count` rows of the gradient and one vector of columns: row r of the input meets row r - a of the gradient, at
 * `shifts` neighbouring taps.
 */
INLINE void correlate_tile(
    const int taps, const int shifts, const int count, const float *gradient, int64_t gradient_pitch,
    const float *input, int64_t input_pitch, int step, vec sums[MOST_TAPS][SHIFTS]) {
  vec y[HELD_ROWS];
  UNROLL for (int m = 0; m < count; m++) y[m] = load(gradient + m * gradient_pitch);
  UNROLL for (int r = 0; r < count + taps - 1; r++)
    UNROLL for (int b = 0; b < shifts; b++) {
      vec x = load(input + r * input_pitch + b * step);
      IN_REGISTER(x);
      UNROLL for (int a = 0; a < taps; a++)
        if (r - a >= 0 && r - a < count) sums[a][b] = multiply_add(y[r - a], x, sums[a][b]);
    }
}

/* Two maps that are multiplied: what tap (0, 0) of row 0 and column 0 reads, and how far rows and taps are apart. */
struct correlation {
  const float *gradient;
  int64_t gradient_pitch;
  const float *input;
  int64_t input_pitch;
  int step;
  int rows;
  int columns;
  /* Of each row and the ROWS - 1 after it, which columns of the gradient are not 0, counted from `first_column`. */
  const struct span *spans;
  int apart;
  int first_column;
};

/* Columns, in whole vectors, in which `count` rows from `row` on have anything. */
INLINE void columns_of_rows(const struct correlation *maps, int row, int count, int *from, int *to) {
  struct span all = maps->spans[row * maps->apart];
  if (maps->apart > 1)
    for (int m = 1; m < count; m++) all = join_spans(all, maps->spans[(row + m) * maps->apart]);
  *from = most(0, all.begin - maps->first_column) / LANES * LANES;
  *to = least(maps->columns, all.end - maps->first_column);
}

/*
 * sums[a][b] += gradient[i][j] input[i + a][j + b step], for `taps` a and `shifts` b, over all columns and the rows
 * that make up whole tiles of `count` from `row` on.
 */
INLINE void correlate_maps(
    const int taps, const int shifts, const int count, const struct correlation *maps, int row, const float *input,
    vec *sums, int sums_pitch) {
  vec s[MOST_TAPS][SHIFTS];
  UNROLL for (int a = 0; a < taps; a++)
    UNROLL for (int b = 0; b < shifts; b++) s[a][b] = sums[a * sums_pitch + b];
  KEEP_LOOP for (; row + count <= maps->rows; row += count) {
    int from, to;
    const float *y = maps->gradient + row * maps->gradient_pitch, *x = input + row * maps->input_pitch;
    columns_of_rows(maps, row, count, &from, &to);
    KEEP_LOOP for (int column = from; column < to; column += LANES)
      correlate_tile(
          taps, shifts, count, y + column, maps->gradient_pitch, x + column, maps->input_pitch, maps->step, s);
  }
  UNROLL for (int a = 0; a < taps; a++)
    UNROLL for (int b = 0; b < shifts; b++) sums[a * sums_pitch + b] = s[a][b];
}

/* The rows that are left of whole tiles: few, where documents end inside of a strip. */
NOINLINE void correlate_rest(const struct correlation *maps, int taps_query, int taps_key, vec *sums) {
  const int row = maps->rows / HELD_ROWS * HELD_ROWS;
  if (row == maps->rows) return;
  for (int a = 0; a < taps_query; a++)
    for (int b = 0; b < taps_key; b++)
      correlate_maps(
          1, 1, 1, maps, row, maps->input + a * maps->input_pitch + b * maps->step, sums + a * taps_key + b, taps_key);
}

/* All taps along the keys. */
#define DEFINE_CORRELATE(taps) \
  NOINLINE void correlate_##taps(const struct correlation *maps, int taps_key, const float *input, vec *sums) { \
    int b = 0; \
    for (; b + SHIFTS <= taps_key; b += SHIFTS) \
      correlate_maps(taps, SHIFTS, HELD_ROWS, maps, 0, input + b * maps->step, sums + b, taps_key); \
    for (; SHIFTS > 1 && b < taps_key; b++) \
      correlate_maps(taps, 1, HELD_ROWS, maps, 0, input + b * maps->step, sums + b, taps_key); \
  }

DEFINE_CORRELATE(1)
DEFINE_CORRELATE(2)
DEFINE_CORRELATE(3)
DEFINE_CORRELATE(4)
DEFINE_CORRELATE(5)
DEFINE_CORRELATE(6)

#define CASE_CORRELATE(taps) \
  case taps: \
    correlate_##taps(maps, taps_key, input, sums); \
    break;

/* A switch, not a table: modules of WebAssembly that share a memory may have no data of their own. */
static void correlate_some(int taps, const struct correlation *maps, int taps_key, const float *input, vec *sums) {
  switch (taps) {
    CASE_CORRELATE(1)
    CASE_CORRELATE(2)
    CASE_CORRELATE(3)
    CASE_CORRELATE(4)
    CASE_CORRELATE(5)
    CASE_CORRELATE(6)
  }
}

/*
 * sums[a][b] += gradient[i][j] input[i + a dilation_query][j + b dilation_key]. Rows that are `dilation_query` apart
 * make maps of their own. `maps` says where they are; taps that do not fit one pass share out evenly.
 */
static void correlate(const struct stage *stage, const struct correlation *maps, vec *sums) {
  const int apart = stage->dilation_query;
  const int passes = (stage->taps_query + MOST_TAPS - 1) / MOST_TAPS;
  for (int first = 0; first < apart && first < maps->rows; first++) {
    struct correlation some = *maps;
    some.gradient += first * maps->gradient_pitch;
    some.input += first * maps->input_pitch;
    some.spans += first;
    some.gradient_pitch *= apart;
    some.input_pitch *= apart;
    some.step = stage->dilation_key;
    some.rows = (maps->rows - first + apart - 1) / apart;
    some.apart = apart;
    for (int pass = 0, tap = 0; pass < passes; pass++) {
      const int taps = (stage->taps_query - tap + passes - pass - 1) / (passes - pass);
      correlate_some(taps, &some, stage->taps_key, some.input + tap * some.input_pitch, sums + tap * stage->taps_key);
      tap += taps;
    }
    correlate_rest(&some, stage->taps_query, stage->taps_key, sums);
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
    UNROLL for (int n = 0; n < inputs; n++) {
      x[n] = load(input + n * input_pitch + column);
      IN_REGISTER(x[n]);
    }
    UNROLL for (int m = 0; m < outputs; m++) {
      vec y = load(gradient + m * gradient_pitch + column);
      IN_REGISTER(y);
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
