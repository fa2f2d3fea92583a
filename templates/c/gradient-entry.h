/* A backward pass as 64-bit words: what follows the words of its call. */
#ifndef MTAC_GRADIENT_ENTRY_H
#define MTAC_GRADIENT_ENTRY_H

#include "backward-memory.h"
#include "entry.h"

/* Words of a call, and those of its gradients after them. */
enum { CALL_WORDS = 39, GRADIENT_WORDS = 13 };

/*
 * d_o as four words; addresses of the gradients of q, q_history, k, v, the parameters (0: not wanted); their number;
 * that of the bias, and how many batch entries and heads it has.
 */
static struct gradients gradients_of(const int64_t *call_words) {
  const int64_t *words = call_words + CALL_WORDS;
  return (struct gradients){
      .d_o = tensor_at(words),
      .d_q = (float *)address(words[4]),
      .d_q_history = (float *)address(words[5]),
      .d_k = (float *)address(words[6]),
      .d_v = (float *)address(words[7]),
      .d_parameters = (float *)address(words[8]),
      .parameters = (int)words[9],
      .d_bias = (float *)address(words[10]),
      .bias_batches = (int)words[11],
      .bias_heads = (int)words[12],
  };
}

#endif
