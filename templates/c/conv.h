/* Convolutions of whole maps. */
#ifndef MTAC_CONV_H
#define MTAC_CONV_H

#include "conv-taps.h"

/*
 * Adds one input head's part to one output head. Rows that are `dilation_query` apart make a map of their own: a
 * convolution without dilation. Input row 0 lies origin_query * dilation_query rows before output row 0.
 */
static void conv_head(
    const struct stage *stage, const float *weights, float bias, int adds, const float *in, ptrdiff_t in_pitch,
    float *out, ptrdiff_t out_pitch, int rows, int columns) {
  const int apart = stage->dilation_query;
  for (int first = 0; first < apart && first < rows; first++) {
    struct conv_pass pass = {
        .in_pitch = in_pitch * apart,
        .step = stage->dilation_key,
        .taps_key = stage->taps_key,
        .out = out + first * out_pitch,
        .out_pitch = out_pitch * apart,
        .rows = (rows - first + apart - 1) / apart,
        .columns = columns,
        .bias = bias,
        .adds = adds,
    };
    for (int a = 0; a < stage->taps_query; a += CONV_TAPS) {
      pass.in = in + (int64_t)(first + a * apart) * in_pitch - stage->origin_key * stage->dilation_key;
      pass.weights = weights + a * stage->taps_key;
      conv_taps(least(CONV_TAPS, stage->taps_query - a), &pass);
      pass.adds = 1;
    }
  }
}

#endif
