/* Which keys a row sees. Rows count from the call's first new row; those of history are negative. */
#ifndef MTAC_SIGHT_H
#define MTAC_SIGHT_H

#include "attention.h"

/* What one row sees: keys [begin, end) at most; with documents, of these only its own document's. */
struct sight {
  int begin;
  int end;
  /* -1: none, or no documents in this mask. */
  int document;
};

/* Position of row 0 among the keys. */
INLINE int first_position(const struct call *call, int batch) {
  return call->positions ? call->positions[batch] : call->key_rows - call->query_rows;
}

INLINE int document_at(const struct call *call, int batch, int64_t position) {
  if (position < 0 || position >= call->key_rows) return -1;
  return most(call->documents[(int64_t)batch * call->key_rows + position], -1);
}

INLINE struct sight sight_of(const struct call *call, int batch, int row) {
  const struct attention *at = call->attention;
  struct sight nothing = {0, 0, -1};
  if (row < -call->history_rows || row >= call->query_rows) return nothing;
  struct sight sight = {0, call->key_rows, -1};
  /* Positions may lie far beyond the keys, up to the end of 32 bits. */
  const int64_t position = (int64_t)first_position(call, batch) + row;
  if (at->causal && position + 1 < sight.end) sight.end = (int)(position + 1);
  if (at->window) {
    const int64_t begin = position - at->window + 1, end = position + at->window;
    if (begin > 0) sight.begin = (int)(begin < call->key_rows ? begin : call->key_rows);
    if (end < sight.end) sight.end = (int)end;
  }
  if (at->lengths) {
    if (position >= call->lengths[batch]) return nothing;
    sight.end = least(sight.end, call->lengths[batch]);
  }
  if (at->documents) {
    sight.document = document_at(call, batch, position);
    if (sight.document < 0) return nothing;
  }
  return sight.begin < sight.end ? sight : nothing;
}

/* The bias of a head's row: one number a key. */
INLINE const float *bias_row(const struct call *call, int batch, int head, int row) {
  return (const float *)call->bias.data + row_of(&call->bias, batch, head, call->history_rows + row);
}

/*
 * What a mask with data says of the vector of keys from `key` on: all ones in lanes that it shows. At most `count` keys
 * are read.
 */
INLINE vec_i shown_lanes(const int32_t *documents, const float *bias, int document, int count) {
  vec_i shown = lane_numbers() < count;
  if (documents) {
    vec_i found = {0};
    if (count >= LANES) found = load_i(documents);
    else for (int lane = 0; lane < count; lane++) found[lane] = documents[lane];
    shown &= found == document;
  }
  if (bias) {
    vec added = {0};
    if (count >= LANES) added = load(bias);
    else for (int lane = 0; lane < count; lane++) added[lane] = bias[lane];
    /* A NaN stays visible: it must show in its row. */
    shown &= ~(added == -__builtin_inff());
  }
  return shown;
}

/* Puts `hidden` wherever a head's row does not see a key: `values` holds keys [from, to), whole vectors. */
INLINE void hide_row(
    const struct call *call, struct sight sight, int batch, int head, int row, float *values, int from, int to,
    float hidden) {
  const int begin = least(most(sight.begin, from), to), end = most(least(sight.end, to), begin);
  for (int key = from; key < begin; key++) values[key - from] = hidden;
  for (int key = end; key < to; key++) values[key - from] = hidden;
  if (begin >= end || (!call->attention->documents && !call->attention->bias)) return;
  const int32_t *documents = call->attention->documents ? call->documents + (int64_t)batch * call->key_rows : NULL;
  const float *bias = call->attention->bias ? bias_row(call, batch, head, row) : NULL;
  for (int key = begin; key < end; key += LANES) {
    const int count = least(LANES, end - key);
    vec_i shown = shown_lanes(documents ? documents + key : NULL, bias ? bias + key : NULL, sight.document, count);
    if (count == LANES) store(values + key - from, choose(shown, load(values + key - from), broadcast(hidden)));
    else for (int lane = 0; lane < count; lane++) if (!shown[lane]) values[key - from + lane] = hidden;
  }
}

#endif
