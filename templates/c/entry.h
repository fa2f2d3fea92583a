/* A call as 64-bit words: how programs in other languages give it. */
#ifndef MTAC_ENTRY_H
#define MTAC_ENTRY_H

#include "attention.h"

INLINE const void *address(int64_t word) { return (const void *)(uintptr_t)word; }

/* A tensor's address and its strides. */
INLINE struct tensor tensor_at(const int64_t *words) {
  return (struct tensor){address(words[0]), words[1], words[2], words[3]};
}

/*
 * Addresses of attention, stages, parameters; batches, rows, keys, rows of history; q, q_history, k, v, bias, o as four
 * words each; addresses of documents, lengths, positions, lse (0: not given); the bits of the depth scale;
 * the address of the seed of dropout (0: not given); the number that dropout counts heads from; the address of
 * what the stages of `output` are given (0: not kept).
 */
static struct call call_of(const int64_t *words) {
  union {
    uint32_t bits;
    float value;
  } depth_scale = {(uint32_t)words[35]};
  return (struct call){
      .attention = address(words[0]),
      .stages = address(words[1]),
      .parameters = address(words[2]),
      .batches = (int)words[3],
      .query_rows = (int)words[4],
      .key_rows = (int)words[5],
      .history_rows = (int)words[6],
      .q = tensor_at(words + 7),
      .q_history = tensor_at(words + 11),
      .k = tensor_at(words + 15),
      .v = tensor_at(words + 19),
      .bias = tensor_at(words + 23),
      .o = tensor_at(words + 27),
      .documents = address(words[31]),
      .lengths = address(words[32]),
      .positions = address(words[33]),
      .lse = (float *)address(words[34]),
      .dropout_seed = address(words[36]),
      .first_head = (int)words[37],
      .values = (float *)address(words[38]),
      .depth_scale = depth_scale.value,
  };
}

#endif
