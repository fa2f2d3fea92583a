/* Rows of logits into rows of weights. */
#ifndef MTAC_SOFTMAX_H
#define MTAC_SOFTMAX_H

#include "sight.h"

/* Stands for minus infinity: as it is finite, differences of logits are no NaN. */
#define HIDDEN (-3e38f)

/* The largest of `count` logits (whole vectors); NaN where one is not finite. */
INLINE float largest_logit(const float *logits, int count) {
  vec largest = broadcast(HIDDEN), fault = broadcast(0);
  for (int n = 0; n < count; n += LANES) {
    const vec x = load(logits + n);
    largest = larger(x, largest);
    /* 0 for a number, NaN for infinities and NaN. */
    fault += x - x;
  }
  return largest_of(largest) + sum_of(fault);
}

/* In place: e^(x - largest), then divided by their sum. Returns log sum e^x. */
INLINE float softmax(float *logits, int count, float largest) {
  vec sums = broadcast(0);
  for (int n = 0; n < count; n += LANES) {
    const vec x = exponential(load(logits + n) - largest);
    store(logits + n, x);
    sums += x;
  }
  const float sum = sum_of(sums), factor = 1 / sum;
  for (int n = 0; n < count; n += LANES) store(logits + n, load(logits + n) * factor);
  return largest + logarithm(sum);
}

/*
 * In place: the larger of x - threshold and 0, with the threshold at which these sum to 1 (Martins and Astudillo 2016). The sum falls with the
 * threshold, convex and linear by pieces: Newton's steps from largest - 1 reach it from below, after as many steps as pieces are met.
 */
INLINE void sparsemax(float *logits, int count, float largest) {
  float threshold = -1, support = -1;
  for (;;) {
    vec sums = broadcast(0), ones = broadcast(0);
    for (int n = 0; n < count; n += LANES) {
      const vec x = load(logits + n) - largest;
      const vec_i above = x > threshold;
      sums += choose(above, x, broadcast(0));
      ones += choose(above, broadcast(1), broadcast(0));
    }
    const float counted = sum_of(ones);
    threshold = (sum_of(sums) - 1) / counted;
    if (counted == support) break;
    support = counted;
  }
  for (int n = 0; n < count; n += LANES) {
    const vec x = load(logits + n) - largest - threshold;
    store(logits + n, larger(x, broadcast(0)));
  }
}

/*
 * One row: logits of keys [from, to) (whole vectors) become weights, 0 where nothing is seen. A row with a logit that is not finite becomes NaN as
 * far as it sees. Returns the logarithm of the sum, minus infinity for a row that sees nothing.
 */
static float normalize_row(
    const struct call *call, struct sight sight, int batch, int head, int row, float *weights, int from, int to) {
  const int first = from + (sight.begin - from) / LANES * LANES, last = from + round_up(sight.end - from, LANES);
  if (sight.begin >= sight.end) {
    fill(weights, 0, to - from);
    return -__builtin_inff();
  }
  float *seen = weights + first - from;
  if (call->attention->bias) {
    const float *bias = bias_row(call, batch, head, row);
    for (int key = sight.begin; key < sight.end; key++) weights[key - from] += bias[key];
  }
  hide_row(call, sight, batch, head, row, seen, first, last, HIDDEN);
  const float largest = largest_logit(seen, last - first);
  float sum;
  if (largest == HIDDEN) {
    fill(weights, 0, to - from);
    return -__builtin_inff();
  }
  if (largest != largest) {
    fill(seen, largest, last - first);
    sum = largest;
  } else if (call->attention->normalizer == NORMALIZE_SOFTMAX) {
    sum = softmax(seen, last - first, largest);
  } else {
    sparsemax(seen, last - first, largest);
    sum = 0;
  }
  hide_row(call, sight, batch, head, row, weights, from, to, 0);
  return sum;
}

#endif
