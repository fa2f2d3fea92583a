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
/* In place: e^(x - largest). Returns their sum. */
INLINE float exponentials(float *logits, int count, float largest) {
  vec sums[ROW_VECTORS];
  UNROLL for (int n = 0; n < ROW_VECTORS; n++) sums[n] = broadcast(0);
  for (int at = 0; at < count; at += PANEL)
    UNROLL for (int n = 0; n < ROW_VECTORS; n++) {
      const vec x = exponential(load(logits + at + n * LANES) - largest);
      store(logits + at + n * LANES, x);
      sums[n] += x;
    }
  UNROLL for (int n = 1; n < ROW_VECTORS; n++) sums[0] += sums[n];
  return sum_of(sums[0]);
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

/* Logits of the keys of whole panels that a row sees; null if it sees nothing. */
INLINE float *seen_logits(struct sight sight, float *row, int from, int *count) {
  const int first = sight.begin / PANEL * PANEL;
  *count = round_up(sight.end, PANEL) - first;
  return sight.begin < sight.end ? row + first - from : NULL;
}

/*
 * Adds the bias, and hides what the row does not see. `row` begins with key `from`. Returns the largest logit: NaN
 * where one is not finite, HIDDEN where nothing is seen.
 */
static float find_largest(
    const struct call *call, struct sight sight, int batch, int head, int number, float *row, int from) {
  int count;
  float *seen = seen_logits(sight, row, from, &count);
  if (!seen) return HIDDEN;
  if (call->attention->bias) {
    const float *bias = bias_row(call, batch, head, number);
    for (int key = sight.begin; key < sight.end; key++) {
      const float score = row[key - from], logit = score + bias[key];
      /* A bias may be as low as numbers go, and hides nothing; what was infinite before it stays so. */
      row[key - from] = logit < LOWEST && score >= HIDDEN ? LOWEST : logit;
    }
  }
  const int first = sight.begin / PANEL * PANEL;
  hide_row(call, sight, batch, head, number, seen, first, first + count, HIDDEN);
  return largest_logit(seen, count);
}

/*
 * Logits to weights, but for a factor that is still to come. Returns their sum: 1 where they are whole, NaN where a
 * logit is not finite, 0 where nothing is seen.
 */
INLINE float weigh(const struct attention *at, struct sight sight, float *row, int from, float largest) {
  int count;
  float *seen = seen_logits(sight, row, from, &count);
  if (!seen || largest == HIDDEN) return 0;
  if (largest != largest) return largest;
  float sum = 1;
#if WITH_SOFTMAX
  if (at->normalizer == NORMALIZE_SOFTMAX) sum = exponentials(seen, count, largest);
#endif
#if WITH_SPARSEMAX
  if (at->normalizer == NORMALIZE_SPARSEMAX) sparsemax(seen, count, largest);
#endif
  (void)at;
  return sum;
}

/* Divides by the sum; a row with a logit that is not finite becomes NaN as far as it sees, one that sees nothing 0. */
static void divide(
    const struct call *call, struct sight sight, int batch, int head, int number, float *row, int from, int to,
    float sum) {
  int count;
  float *seen = seen_logits(sight, row, from, &count);
  if (sum == 0 || !seen) {
    fill(row, 0, to - from);
    return;
  }
  if (sum != sum) fill(seen, sum, count);
  hide_row(call, sight, batch, head, number, row, from, to, 0);
  if (sum == sum && call->attention->normalizer == NORMALIZE_SOFTMAX) {
    const vec factor = broadcast(1 / sum);
    for (int n = 0; n < count; n += LANES) store(seen + n, load(seen + n) * factor);
  }
}

/* log of the sum of e^logit: minus infinity where the sum is 0. */
INLINE void log_sums(const float *largest, const float *sums, float *lse) {
  const vec sum = load(sums);
  store(lse, choose(sum == 0.f, broadcast(-__builtin_inff()), load(largest) + logarithm(sum)));
}

#endif
