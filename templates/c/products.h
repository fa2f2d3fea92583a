/* Products of bands of rows with K and V, and what the gradients of these add up to. */
#ifndef MTAC_PRODUCTS_H
#define MTAC_PRODUCTS_H

#include "adjoint.h"

/* The tasks of a step that are this part's, and then its end: everybody's work is done. */
#define EACH_TASK(b, task, count) for (int task = (b)->part; task < (count); task += (b)->together->parts)

/* A row of q, of a head of the group, scaled; 0 if there is none. */
static void read_query(const struct backward *b, int head, int number, float *to, int width) {
  const struct call *call = b->call;
  const struct attention *at = call->attention;
  const struct tensor *from = number < 0 ? &call->q_history : &call->q;
  fill(to, 0, width);
  if (number < -call->history_rows || number >= call->query_rows) return;
  const int64_t start = row_of(from, b->batch, b->head + head, number < 0 ? call->history_rows + number : number);
  read_stored(to, from->data, start, at->head_dim, at->storage, at->scale);
}

/*
 * Rows of a band, in tiles of ROWS, of which any sees one of the keys [from, to): those before the first and after the
 * last tile have nothing there.
 */
static void rows_that_see(const struct backward *b, const struct span *spans, int from, int to, int *first, int *end) {
  *first = 0;
  *end = b->call->attention->strip;
  while (*first < *end && (spans[*first].begin >= to || spans[*first].end <= from)) *first += ROWS;
  while (*first < *end && (spans[*end - ROWS].begin >= to || spans[*end - ROWS].end <= from)) *end -= ROWS;
}

/* rows . keys for columns [band->begin, band->end) of a head's newest rows; `rows` without gaps, `packed` in panels. */
NOINLINE void multiply_keys(
    const struct backward *b, const float *rows, const float *packed, int channels, const struct band *band, int head) {
  const struct attention *at = b->call->attention;
  const int panels = (b->call->key_rows + PANEL - 1) / PANEL, kv_head = (b->head + head) / (at->heads / at->kv_heads);
  const struct span *spans = spans_at(b, first_row_of(b, band));
  for (int key = band->begin; key < band->end; key += PANEL) {
    int first, end;
    rows_that_see(b, spans, key, key + PANEL, &first, &end);
    score_panel(
        rows + (int64_t)first * channels, packed + ((int64_t)kv_head * panels + key / PANEL) * channels * PANEL,
        band_row(b, band, head, first) + key, b->pitch, end - first, channels);
  }
}

/* Rows of K or V [from, from + keys) as floats, whole vectors wide. */
static const float *read_rows(
    const struct backward *b, const struct tensor *tensor, int kv_head, int from, int keys, int channels, int width,
    int64_t *pitch) {
  const int64_t start = row_of(tensor, b->batch, kv_head, from);
  if (b->call->attention->storage == STORAGE_F32 && channels == width) {
    *pitch = tensor->row_stride;
    return (const float *)tensor->data + start;
  }
  for (int key = 0; key < keys; key++) {
    float *row = b->block + (int64_t)key * width;
    for (int c = channels; c < width; c++) row[c] = 0;
    read_stored(row, tensor->data, start + key * tensor->row_stride, channels, b->call->attention->storage, 1);
  }
  *pitch = width;
  return b->block;
}

/* out[strip, width] = map K or map V, of a head's newest rows. */
NOINLINE void multiply_values(
    const struct backward *b, const struct band *band, int head, const struct tensor *tensor,
    const unsigned char *faulty, int channels, int width, float *out) {
  const struct attention *at = b->call->attention;
  const int kv_head = (b->head + head) / (at->heads / at->kv_heads), last = least(band->end, b->call->key_rows);
  const int panels = (b->call->key_rows + PANEL - 1) / PANEL;
  const struct span *spans = spans_at(b, first_row_of(b, band));
  zero(out, (size_t)at->strip * (size_t)width);
  for (int key = band->begin; key < last; key += KEY_BLOCK) {
    int64_t pitch;
    const int keys = least(KEY_BLOCK, last - key);
    const float *values = read_rows(b, tensor, kv_head, key, keys, channels, width, &pitch);
    const float *weights = band_row(b, band, head, 0) + key;
    int fault = 0;
    for (int panel = key / PANEL; panel * PANEL < key + keys; panel++) fault |= faulty[kv_head * panels + panel];
    if (fault) {
      add_faulty(weights, b->pitch, 1, values, pitch, out, width, at->strip, keys);
      continue;
    }
    for (int row = 0; row < at->strip; row += ROWS) {
      const int from = most(0, spans[row].begin - key), to = least(keys, spans[row].end - key);
      if (from < to)
        add_values(
            weights + (int64_t)row * b->pitch + from, b->pitch, values + from * pitch, pitch,
            out + (int64_t)row * width, width, ROWS, to - from,
            values + (from + keys) * pitch + row / ROWS * 16 % width);
    }
  }
}

/*
 * The gradient of K or V: keys of all rows of the heads that read them, in their order. `rows` [heads][strip][width]. A
 * task has a block of keys.
 */
NOINLINE void add_key_gradients(
    const struct backward *b, const struct band *band, const float *rows, const struct key_sums *sums) {
  const struct attention *at = b->call->attention;
  const int sharing = at->heads / at->kv_heads, width = sums->width, last = least(band->end, sums->keys);
  const int blocks = (last - band->begin + KEY_BLOCK - 1) / KEY_BLOCK;
  const int first = b->head / sharing, kv_heads = (b->head + at->group - 1) / sharing - first + 1;
  const struct span *spans = spans_at(b, first_row_of(b, band));
  if (sums->result == NULL || last <= band->begin) return;
  EACH_TASK(b, task, kv_heads * blocks) {
    const int kv_head = first + task / blocks, key = band->begin + task % blocks * KEY_BLOCK;
    const int count = least(KEY_BLOCK, last - key);
    float *to = sums->at + ((int64_t)kv_head * sums->keys + key) * width;
    for (int head = most(b->head, kv_head * sharing); head < least(b->head + at->group, (kv_head + 1) * sharing);
         head++) {
      const float *weights = band_row(b, band, head - b->head, 0) + key;
      const float *own = rows + (int64_t)(head - b->head) * at->strip * width;
      if (!all_finite(own, width, at->strip, width)) {
        add_faulty(weights, 1, b->pitch, own, width, to, width, count, at->strip);
        continue;
      }
      for (int n = 0; n < count; n += ROWS) {
        int row, end;
        rows_that_see(b, spans, key + n, key + n + ROWS, &row, &end);
        if (row < end)
          add_transposed(
              weights + (int64_t)row * b->pitch + n, b->pitch, own + (int64_t)row * width, width,
              to + (int64_t)n * width, width, end - row);
      }
    }
  }
}

/* A part's share of the gradient of K or V of a batch entry: at 0. */
static void begin_key_sums(const struct backward *b, struct key_sums *sums) {
  const int kv_heads = b->call->attention->kv_heads;
  const int64_t each = (int64_t)sums->keys * sums->width;
  if (sums->result == NULL) return;
  sums->at = sums->own ? sums->own : sums->result + b->batch * kv_heads * each;
  EACH_TASK(b, kv_head, kv_heads) zero(sums->at + kv_head * each, (size_t)each);
}

/* To the caller's tensor, where it did not add up there. */
static void end_key_sums(const struct backward *b, const struct key_sums *sums) {
  const int kv_heads = b->call->attention->kv_heads, keys = b->call->key_rows;
  if (sums->own == NULL) return;
  EACH_TASK(b, kv_head, kv_heads)
    for (int key = 0; key < keys; key++) {
      const float *from = sums->at + ((int64_t)kv_head * sums->keys + key) * sums->width;
      float *to = sums->result + (((int64_t)b->batch * kv_heads + kv_head) * keys + key) * sums->channels;
      for (int c = 0; c < sums->channels; c++) to[c] = from[c];
    }
}

#endif
