/* Dropout: which weights of a map a training call drops follows from the seed and their places alone. */
#ifndef MTAC_DROP_H
#define MTAC_DROP_H

#include "sight.h"

#if WITH_DROPOUT
/* The upper halves of the products of words with one number, by halves of both. */
INLINE vec_u high_product(vec_u words, uint32_t factor) {
  const uint32_t factor_low = factor & 0xffff, factor_high = factor >> 16;
  const vec_u low = words & 0xffff, high = words >> 16, crossed = high * factor_low;
  const vec_u middle = (low * factor_low >> 16) + (crossed & 0xffff) + low * factor_high;
  return high * factor_high + (crossed >> 16) + (middle >> 16);
}

/* The first words that Philox4x32-10 makes of the counters (keys[n], position, head, batch) (Salmon et al. 2011). */
INLINE vec_u random_words(vec_u keys, uint32_t position, uint32_t head, uint32_t batch, const int32_t *seed) {
  vec_u x = keys, y = position - (vec_u){0}, z = head - (vec_u){0}, w = batch - (vec_u){0};
  uint32_t key = (uint32_t)seed[0], next_key = (uint32_t)seed[1];
  for (int round = 0; round < 10; round++) {
    const vec_u first = high_product(x, 0xd2511f53), second = high_product(z, 0xcd9e8d57);
    const vec_u first_low = x * 0xd2511f53, second_low = z * 0xcd9e8d57;
    x = second ^ y ^ key;
    y = second_low;
    z = first ^ w ^ next_key;
    w = first_low;
    key += 0x9e3779b9;
    next_key += 0xbb67ae85;
  }
  return x;
}

/*
 * Rows of one head from row `number` on, keys from `key` on: what is dropped is 0, the rest divided by 1 - P. `out` may
 * be `in`; a call without a seed drops nothing.
 */
NOINLINE void drop_entries(
    const struct call *call, const struct stage *stage, int batch, int head, int number, int key, struct maps in,
    struct maps out, int rows, int columns) {
  const uint32_t counted = (uint32_t)(call->first_head + head);
  for (int row = 0; row < rows; row++) {
    const float *from = in.at + (int64_t)row * in.pitch;
    float *to = out.at + (int64_t)row * out.pitch;
    const uint32_t position = (uint32_t)first_position(call, batch) + (uint32_t)(number + row);
    for (int column = 0; column < columns; column += LANES) {
      vec x = load(from + column);
      if (call->dropout_seed) {
        const vec_u keys = (vec_u)lane_numbers() + (uint32_t)(key + column);
        const vec_u words = random_words(keys, position, counted, (uint32_t)batch, call->dropout_seed);
        x = choose(words < (uint32_t)stage->dropped_below, broadcast(0), x * stage->value);
      }
      store(to + column, x);
    }
  }
}
#endif

#endif
