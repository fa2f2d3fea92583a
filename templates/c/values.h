/* o += A V for a strip of rows and a block of keys. */
#ifndef MTAC_VALUES_H
#define MTAC_VALUES_H

#include "attention.h"

/* VALUE_ROWS rows of o and `vectors` vectors of channels stay in registers while the keys go by. */
INLINE void value_tile(
    const int vectors, const float *restrict weights, ptrdiff_t weight_pitch, ptrdiff_t weight_step,
    const float *restrict values, int64_t value_pitch, float *restrict out, int out_pitch, int keys,
    const float *next) {
  vec sums[VALUE_ROWS][VALUE_VECTORS];
  UNROLL for (int m = 0; m < VALUE_ROWS; m++)
    UNROLL for (int n = 0; n < vectors; n++) sums[m][n] = load(out + m * out_pitch + n * LANES);
  KEEP_LOOP for (int key = 0; key < keys; key++) {
    PREFETCH(next + key * value_pitch);
    vec v[VALUE_VECTORS];
    UNROLL for (int n = 0; n < vectors; n++) {
      v[n] = load(values + key * value_pitch + n * LANES);
      IN_REGISTER(v[n]);
    }
    UNROLL for (int m = 0; m < VALUE_ROWS; m++) {
      const vec w = broadcast(weights[m * weight_pitch + key * weight_step]);
      UNROLL for (int n = 0; n < vectors; n++) sums[m][n] = multiply_add(w, v[n], sums[m][n]);
    }
  }
  UNROLL for (int m = 0; m < VALUE_ROWS; m++)
    UNROLL for (int n = 0; n < vectors; n++) store(out + m * out_pitch + n * LANES, sums[m][n]);
}

/* As add_values, the weight of row m and key n at m weight_pitch + n weight_step. */
INLINE void add_weighted(
    const float *weights, ptrdiff_t weight_pitch, ptrdiff_t weight_step, const float *values, int64_t value_pitch,
    float *out, int channels, int rows, int keys, const float *next) {
  for (int row = 0; row < rows; row += VALUE_ROWS) {
    const float *w = weights + (int64_t)row * weight_pitch, *line = next + row / VALUE_ROWS * 16 % channels;
    float *to = out + (int64_t)row * channels;
    int c = 0;
    for (; c + VALUE_VECTORS * LANES <= channels; c += VALUE_VECTORS * LANES)
      value_tile(
          VALUE_VECTORS, w, weight_pitch, weight_step, values + c, value_pitch, to + c, channels, keys, line);
    for (; c + 2 * LANES <= channels; c += 2 * LANES)
      value_tile(2, w, weight_pitch, weight_step, values + c, value_pitch, to + c, channels, keys, line);
    for (; c < channels; c += LANES)
      value_tile(1, w, weight_pitch, weight_step, values + c, value_pitch, to + c, channels, keys, line);
  }
}

/*
 * All channels (whole vectors) of `rows` rows, a multiple of ROWS. The values that are needed after these, at `next`,
 * come in meanwhile: each tile of rows fetches one line of cache (16 floats) of every key's.
 */
NOINLINE void add_values(
    const float *weights, ptrdiff_t weight_pitch, const float *values, int64_t value_pitch, float *out, int channels,
    int rows, int keys, const float *next) {
  add_weighted(weights, weight_pitch, 1, values, value_pitch, out, channels, rows, keys, next);
}

/* Whether `rows` rows of `channels` numbers are finite. */
INLINE int all_finite(const float *values, int64_t pitch, int rows, int channels) {
  vec fault = broadcast(0);
  for (int row = 0; row < rows; row++)
    for (int c = 0; c < channels; c += LANES) fault += load(values + row * pitch + c) - load(values + row * pitch + c);
  return sum_of(fault) == 0;
}

#endif
