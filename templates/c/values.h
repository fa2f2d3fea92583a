/* o += A V for a strip of rows and a block of keys. */
#ifndef MTAC_VALUES_H
#define MTAC_VALUES_H

#include "attention.h"

/* ROWS rows of o and `vectors` vectors of channels stay in registers while the keys go by. */
INLINE void value_tile(
    const int vectors, const float *restrict weights, int weight_pitch, const float *restrict values, int64_t value_pitch,
    float *restrict out, int out_pitch, int keys) {
  vec sums[ROWS][VALUE_VECTORS];
  UNROLL for (int m = 0; m < ROWS; m++)
    UNROLL for (int n = 0; n < vectors; n++) sums[m][n] = load(out + m * out_pitch + n * LANES);
  KEEP_LOOP for (int key = 0; key < keys; key++) {
    vec v[VALUE_VECTORS];
    UNROLL for (int n = 0; n < vectors; n++) v[n] = load(values + key * value_pitch + n * LANES);
    UNROLL for (int m = 0; m < ROWS; m++) {
      const vec w = broadcast(weights[m * weight_pitch + key]);
      UNROLL for (int n = 0; n < vectors; n++) sums[m][n] = multiply_add(w, v[n], sums[m][n]);
    }
  }
  UNROLL for (int m = 0; m < ROWS; m++)
    UNROLL for (int n = 0; n < vectors; n++) store(out + m * out_pitch + n * LANES, sums[m][n]);
}

/* All channels (whole vectors) of `rows` rows, a multiple of ROWS. */
NOINLINE void add_values(
    const float *weights, int weight_pitch, const float *values, int64_t value_pitch, float *out, int channels, int rows, int keys) {
  for (int row = 0; row < rows; row += ROWS) {
    const float *w = weights + (int64_t)row * weight_pitch;
    float *to = out + row * channels;
    int channel = 0;
    for (; channel + VALUE_VECTORS * LANES <= channels; channel += VALUE_VECTORS * LANES)
      value_tile(VALUE_VECTORS, w, weight_pitch, values + channel, value_pitch, to + channel, channels, keys);
    for (; channel + 2 * LANES <= channels; channel += 2 * LANES)
      value_tile(2, w, weight_pitch, values + channel, value_pitch, to + channel, channels, keys);
    for (; channel < channels; channel += LANES)
      value_tile(1, w, weight_pitch, values + channel, value_pitch, to + channel, channels, keys);
  }
}

#endif
