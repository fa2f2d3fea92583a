/* Scores of a strip of rows: q k, with K packed in panels. */
#ifndef MTAC_SCORES_H
#define MTAC_SCORES_H

#include "attention.h"

/*
 * In a square of rows cut into blocks of `size` by `size`, the two blocks off the diagonal of each four change places.
 */
INLINE void exchange_blocks(vec *rows, const int size) {
  const vec_i right = (lane_numbers() & size) != 0;
  UNROLL for (int row = 0; row < LANES; row++) {
    if (row & size) continue;
    const vec above = rows[row], below = rows[row + size];
    rows[row] = choose(right, rotate(below, LANES - size), above);
    rows[row + size] = choose(right, below, rotate(above, size));
  }
}

/* A square of LANES rows of `from`, turned: its columns become rows of `to`. */
INLINE void transpose_square(const float *from, int64_t from_pitch, float *to, int64_t to_pitch) {
  vec rows[LANES];
  UNROLL for (int row = 0; row < LANES; row++) rows[row] = load(from + row * from_pitch);
  exchange_blocks(rows, LANES / 2);
  exchange_blocks(rows, LANES / 4);
  if (LANES >= 8) exchange_blocks(rows, LANES / 8);
  if (LANES >= 16) exchange_blocks(rows, LANES / 16);
  UNROLL for (int row = 0; row < LANES; row++) store(to + row * to_pitch, rows[row]);
}

/*
 * Packs one panel: rows [first, first + PANEL) of a head of K or V, a channel after the other; rows that are not there
 * are 0.
 */
static void pack_rows(
    const struct call *call, const struct tensor *tensor, int channels, int batch, int kv_head, int first,
    float *panel) {
  const enum storage storage = (enum storage)call->attention->storage;
  float row[512 + LANES];
  const int keys = least(PANEL, call->key_rows - first);
  const int64_t from = row_of(tensor, batch, kv_head, first);
  int key = 0;
  if (storage == STORAGE_F32)
    for (; key + LANES <= keys; key += LANES) {
      const float *rows = (const float *)tensor->data + from + key * tensor->row_stride;
      int d = 0;
      for (; d + LANES <= channels; d += LANES)
        transpose_square(rows + d, tensor->row_stride, panel + d * PANEL + key, PANEL);
      for (; d < channels; d++)
        for (int j = 0; j < LANES; j++) panel[d * PANEL + key + j] = rows[j * tensor->row_stride + d];
    }
  for (; key < PANEL; key++) {
    if (key < keys) read_stored(row, tensor->data, from + key * tensor->row_stride, channels, storage, 1);
    else fill(row, 0, channels);
    for (int d = 0; d < channels; d++) panel[d * PANEL + key] = row[d];
  }
}

/* out[rows, PANEL] = q[rows, channels] panel[channels, PANEL], `count` rows at a time in registers. */
INLINE void score_rows(
    int count, const float *restrict q, const float *restrict panel, float *restrict out, ptrdiff_t pitch, int channels,
    int ahead) {
  vec sums[SCORE_ROWS][SCORE_VECTORS];
  UNROLL for (int m = 0; m < count; m++)
    UNROLL for (int n = 0; n < SCORE_VECTORS; n++) sums[m][n] = broadcast(0);
  KEEP_LOOP for (int d = 0; d < channels; d++) {
    const float *keys = panel + d * PANEL;
    /* The next panel comes in while this one is used: a line of cache a step, each part of it once. */
    if (ahead >= 0) PREFETCH(panel + channels * PANEL + ahead + d * 16);
    vec k[SCORE_VECTORS];
    UNROLL for (int n = 0; n < SCORE_VECTORS; n++) k[n] = load(keys + n * LANES);
    UNROLL for (int m = 0; m < count; m++) {
      const vec x = broadcast(q[m * channels + d]);
      UNROLL for (int n = 0; n < SCORE_VECTORS; n++) sums[m][n] = multiply_add(x, k[n], sums[m][n]);
    }
  }
  UNROLL for (int m = 0; m < count; m++)
    UNROLL for (int n = 0; n < SCORE_VECTORS; n++) store(out + m * pitch + n * LANES, sums[m][n]);
}

/* One panel for all rows of a strip; `rows` is a multiple of ROWS. */
NOINLINE void score_panel(
    const float *restrict q, const float *restrict panel, float *restrict out, ptrdiff_t pitch, int rows,
    int channels) {
  int row = 0;
  for (; row + SCORE_ROWS <= rows; row += SCORE_ROWS) {
    const int ahead = row / SCORE_ROWS * channels * 16;
    score_rows(
        SCORE_ROWS, q + row * channels, panel, out + row * pitch, pitch, channels,
        ahead < channels * PANEL ? ahead : -1);
  }
  for (; row < rows; row += 4 < SCORE_ROWS ? 4 : SCORE_ROWS)
    score_rows(4 < SCORE_ROWS ? 4 : SCORE_ROWS, q + row * channels, panel, out + row * pitch, pitch, channels, -1);
}

#endif
