/* What happens to rows of o: norm, gate, and their way to memory. */
#ifndef MTAC_OUTPUT_H
#define MTAC_OUTPUT_H

#include "values.h"

#if WITH_OUTPUT
/* Where a row of what the stages are given is kept. */
INLINE float *kept_values(const struct call *call, int batch, int head, int row) {
  const struct attention *at = call->attention;
  return call->values + (((int64_t)batch * at->heads + head) * call->query_rows + row) * at->value_dim;
}

/* o / sqrt(mean of squares + eps) * weight. `channels` of `width` (whole vectors) exist; the others are 0. */
INLINE void normalize_output(
    const struct stage *stage, const float *weight, float scale, float *o, int channels, int width) {
  vec squares = broadcast(0);
  for (int c = 0; c < width; c += LANES) squares += load(o + c) * load(o + c);
  const float factor = scale / __builtin_sqrtf(sum_of(squares) / (float)channels + stage->value);
  for (int c = 0; c < channels; c++) o[c] = o[c] * factor * weight[c];
}

/* o * sigmoid(o . weight + bias): one gate for the row. */
INLINE void gate_row(const float *weight, float bias, float *o, int channels, int width) {
  vec products = broadcast(0);
  int c = 0;
  for (; c + LANES <= channels; c += LANES) products = multiply_add(load(o + c), load(weight + c), products);
  float sum = sum_of(products) + bias;
  for (; c < channels; c++) sum += o[c] * weight[c];
  const vec gate = sigmoid(broadcast(sum));
  for (c = 0; c < width; c += LANES) store(o + c, load(o + c) * gate);
}

/* The same with a gate for each channel; `sums` holds o . weight of each, without the bias. */
INLINE void gate_channels(const float *bias, const float *sums, float *o, int channels, int width) {
  for (int c = 0; c < width; c += LANES) {
    vec added = {0};
    UNROLL for (int lane = 0; lane < LANES; lane++)
      if (c + lane < channels) added[lane] = bias[c + lane];
    store(o + c, load(o + c) * sigmoid(load(sums + c) + added));
  }
}
#endif

/* Rows that a NaN or an infinity has reached are NaN as a whole, so that none looks half right. */
INLINE void poison(float *o, int channels, int width) {
  vec fault = broadcast(0);
  for (int c = 0; c < width; c += LANES) fault += load(o + c) - load(o + c);
  const float sum = sum_of(fault);
  if (sum != sum) fill(o, sum, channels);
}

#endif
