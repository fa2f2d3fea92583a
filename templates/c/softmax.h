/* Rows of logits into rows of weights. */
#ifndef MTAC_SOFTMAX_H
#define MTAC_SOFTMAX_H

#include "sight.h"

/* Stands for minus infinity: as it is finite, differences of logits are no NaN. Those that are seen stay above it. */
#define HIDDEN (-0x1.fffffep127f)
#define LOWEST (-0x1.fffffcp127f)

/* Vectors that a pass over a row takes at a time: their sums do not wait for each other. */
enum { ROW_VECTORS = SCORE_VECTORS };

/* The largest of `count` logits (whole panels); NaN where one is none, or infinite. */
INLINE float largest_logit(const float *logits, int count) {
  vec largest[ROW_VECTORS], fault[ROW_VECTORS];
  UNROLL for (int n = 0; n < ROW_VECTORS; n++) {
    largest[n] = broadcast(HIDDEN);
    fault[n] = broadcast(0);
  }
  for (int at = 0; at < count; at += PANEL)
    UNROLL for (int n = 0; n < ROW_VECTORS; n++) {
      const vec x = load(logits + at + n * LANES);
      largest[n] = larger(x, largest[n]);
      /* 0 for a number, NaN for infinities and NaN. */
      fault[n] += x - x;
    }
  UNROLL for (int n = 1; n < ROW_VECTORS; n++) {
    largest[0] = larger(largest[n], largest[0]);
    fault[0] += fault[n];
  }
  return largest_of(largest[0]) + sum_of(fault[0]);
}

#if WITH_SOFTMAX
/* In place: e^(x - largest), then divided by their sum. Returns log sum e^x. */
INLINE float softmax(float *logits, int count, float largest) {
  vec sums[ROW_VECTORS];
  UNROLL for (int n = 0; n < ROW_VECTORS; n++) sums[n] = broadcast(0);
  for (int at = 0; at < count; at += PANEL)
    UNROLL for (int n = 0; n < ROW_VECTORS; n++) {
      const vec x = exponential(load(logits + at + n * LANES) - largest);
      store(logits + at + n * LANES, x);
      sums[n] += x;
    }
  UNROLL for (int n = 1; n < ROW_VECTORS; n++) sums[0] += sums[n];
  const float sum = sum_of(sums[0]);
  const vec factor = broadcast(1 / sum);
  for (int n = 0; n < count; n += LANES) store(logits + n, load(logits + n) * factor);
  return largest + logarithm(sum);
}
#endif

#if WITH_SPARSEMAX
/*
 * In place: the larger of x - threshold and 0, with the threshold at which these sum to 1 (Martins and Astudillo 2016).
 * The sum falls with the threshold, convex and linear by pieces: Newton's steps from largest - 1 reach it from below,
 * after as many steps as pieces are met. Where a logit lies at the threshold, rounding may take a step back: it is the
 * last one, or the steps would go to and fro for ever.
 */
INLINE void sparsemax(float *logits, int count, float largest) {
  float threshold = -1, support = __builtin_inff();
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
    if (counted >= support) break;
    support = counted;
  }
  for (int n = 0; n < count; n += LANES) {
    const vec x = load(logits + n) - largest - threshold;
    store(logits + n, larger(x, broadcast(0)));
  }
}
#endif

/*
 * One row: logits of keys [from, to) (whole panels) become weights, 0 where nothing is seen. A row with a logit that is
 * not finite becomes NaN as far as it sees. Returns the logarithm of the sum, minus infinity for a row that sees
 * nothing.
 */
static float normalize_row(
    const struct call *call, struct sight sight, int batch, int head, int row, float *weights, int from, int to) {
  const int first = sight.begin / PANEL * PANEL, last = round_up(sight.end, PANEL);
  if (sight.begin >= sight.end) {
    fill(weights, 0, to - from);
    return -__builtin_inff();
  }
  float *seen = weights + first - from;
  if (call->attention->bias) {
    const float *bias = bias_row(call, batch, head, row);
    for (int key = sight.begin; key < sight.end; key++) {
      const float score = weights[key - from], logit = score + bias[key];
      /* A bias may be as low as numbers go, and hides nothing; what was infinite before it stays so. */
      weights[key - from] = logit < LOWEST && score >= HIDDEN ? LOWEST : logit;
    }
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
  } else {
    sum = 0;
#if WITH_SOFTMAX
    if (call->attention->normalizer == NORMALIZE_SOFTMAX) sum = softmax(seen, last - first, largest);
#endif
#if WITH_SPARSEMAX
    if (call->attention->normalizer == NORMALIZE_SPARSEMAX) sparsemax(seen, last - first, largest);
#endif
  }
  hide_row(call, sight, batch, head, row, weights, from, to, 0);
  return sum;
}

#endif
