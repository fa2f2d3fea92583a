/*
 * Convolutions over maps: row by row, a few output rows in registers, so that each vector that is loaded serves several
 * taps.
 */
#ifndef MTAC_CONV_PASS_H
#define MTAC_CONV_PASS_H

#include "attention.h"

/*
 * Taps along the queries that one pass takes; longer kernels take several passes, each adding to what the last one
 * left.
 */
#define CONV_TAPS 8

/* A pass of a convolution over `rows` rows and `columns` columns (whole vectors). */
struct conv_pass {
  /* What tap 0 reads for row 0 and column 0; rows are `in_pitch` apart, taps along the keys `step` columns. */
  const float *in;
  int64_t in_pitch;
  int step;
  /* [taps_query of this pass, taps_key] */
  const float *weights;
  int taps_key;
  float *out;
  int64_t out_pitch;
  int rows;
  int columns;
  /* What sums begin with; unless they go on from `out`. */
  float bias;
  int adds;
};

/*
 * `count` rows and one vector of columns. Row r of the input meets tap a of output row r - a: taps are unrolled, each
 * sum is one register.
 */
INLINE void conv_rows(const int taps, const int count, const struct conv_pass *pass, const float *in, float *out) {
  vec sums[CONV_ROWS];
  UNROLL for (int m = 0; m < count; m++)
    sums[m] = pass->adds ? load(out + m * pass->out_pitch) : broadcast(pass->bias);
  const int64_t pitch = pass->in_pitch;
  KEEP_LOOP for (int b = 0; b < pass->taps_key; b++) {
    vec w[CONV_TAPS];
    UNROLL for (int a = 0; a < taps; a++) w[a] = broadcast(pass->weights[a * pass->taps_key + b]);
    UNROLL for (int r = 0; r < count + taps - 1; r++) {
      const vec x = load(in + r * pitch);
      UNROLL for (int a = 0; a < taps; a++)
        if (r - a >= 0 && r - a < count) sums[r - a] = multiply_add(w[a], x, sums[r - a]);
    }
    in += pass->step;
  }
  UNROLL for (int m = 0; m < count; m++) store(out + m * pass->out_pitch, sums[m]);
}

INLINE void conv_map(const int taps, const struct conv_pass *pass) {
  int row = 0;
  for (; row + CONV_ROWS <= pass->rows; row += CONV_ROWS)
    for (int column = 0; column < pass->columns; column += LANES)
      conv_rows(
          taps, CONV_ROWS, pass, pass->in + row * pass->in_pitch + column, pass->out + row * pass->out_pitch + column);
  for (; row + ROWS <= pass->rows; row += ROWS)
    for (int column = 0; column < pass->columns; column += LANES)
      conv_rows(taps, ROWS, pass, pass->in + row * pass->in_pitch + column, pass->out + row * pass->out_pitch + column);
  for (; row < pass->rows; row++)
    for (int column = 0; column < pass->columns; column += LANES)
      conv_rows(taps, 1, pass, pass->in + row * pass->in_pitch + column, pass->out + row * pass->out_pitch + column);
}

/* One function for each number of taps: it has to be known where they are unrolled. */
#define DEFINE_CONV(taps) \
  NOINLINE void conv_##taps(const struct conv_pass *pass) { conv_map(taps, pass); }

#endif
