/* Maps between stages: what is not seen is hidden, and convolutions keep the neighbours that they read. */
#ifndef MTAC_LEVEL_H
#define MTAC_LEVEL_H

#include "drop.h"
#include "worker.h"

/* Hides in place what the rows of a map do not see. */
static void hide_maps(struct worker *worker, struct maps maps, int lead, int from, int to) {
  for (int head = 0; head < worker->call->attention->group; head++)
    for (int row = 0; row < worker->rows; row++) {
      const int number = worker->row + lead + row;
      float *at = maps.at + head * maps.head_pitch + (int64_t)row * maps.pitch;
      hide_row(worker->call, sight_in(worker, number), worker->batch, worker->head + head, number, at, from, to, 0);
    }
}

#if WITH_CONV
/* Where a level's block holds the newest columns of the strip's first row. */
INLINE struct maps level_at(const struct worker *worker, const struct level *level) {
  const int rows = level->halo + worker->call->attention->strip;
  return (struct maps){
      level->block + (int64_t)level->halo * level->pitch + level->carry, (int64_t)rows * level->pitch, level->pitch};
}

/*
 * Makes room for columns [from, to) in a convolution's input: the columns before them move to the left, rows of the
 * halo come from the ring.
 */
static void open_level(struct worker *worker, struct level *level, int from, int to) {
  const struct attention *at = worker->call->attention;
  const int rows = level->halo + worker->rows, keys = round_up(worker->call->key_rows, PANEL);
  for (int head = 0; head < at->group; head++) {
    float *block = level->block + (int64_t)head * (level->halo + at->strip) * level->pitch;
    for (int row = 0; row < rows; row++, block += level->pitch) {
      if (level->last_columns == 0) fill(block, 0, level->carry);
      else copy(block, block + level->last_columns, level->carry);
      if (row < level->halo)
        copy(block + level->carry, level->ring + ((int64_t)head * level->halo + row) * keys + from, to - from);
    }
  }
  level->last_columns = to - from;
}

/* The newest columns are there: hides what is not seen, keeps the rows that the next strip needs. */
static void close_level(struct worker *worker, struct level *level, int from, int to) {
  const struct call *call = worker->call;
  const struct attention *at = call->attention;
  const int columns = to - from, last = to >= worker->key_end, keys = round_up(call->key_rows, PANEL);
  struct maps maps = level_at(worker, level);
  for (int head = 0; head < at->group; head++, maps.at += maps.head_pitch) {
    for (int row = 0; row < worker->rows; row++) {
      const int number = worker->row + level->lead + row;
      hide_row(
          call, sight_in(worker, number), worker->batch, worker->head + head, number, maps.at + row * maps.pitch, from,
          to, 0);
    }
    if (last)
      for (int row = -level->halo; row < worker->rows; row++)
        fill(maps.at + row * maps.pitch + columns, 0, level->right);
    for (int row = 0; row < level->halo; row++)
      copy(
          level->ring + ((int64_t)head * level->halo + row) * keys + from,
          maps.at + (row + worker->rows - level->halo) * maps.pitch, columns);
  }
}

#if WITH_CONV_DOCUMENTS
/* Rows [row, end) of the output have one document; the rows of the input that have another count as 0. */
static void conv_document(
    struct worker *worker, const struct stage *stage, const struct level *level, const float *weights, float bias,
    int adds, const float *in, ptrdiff_t in_pitch, float *out, ptrdiff_t out_pitch, int columns, int row, int end) {
  const int left = round_up(stage->origin_key * stage->dilation_key, LANES), pitch = worker->scratch_pitch;
  const int output_row = worker->row + level->lead - future_of(stage);
  const int document = sight_in(worker, output_row + row).document;
  const int first = output_row - stage->origin_query * stage->dilation_query;
  for (int n = row; n < end + level->halo; n++) {
    float *to = worker->scratch + (int64_t)(n - row) * pitch;
    if (sight_in(worker, first + n).document == document)
      copy(to, in + (int64_t)n * in_pitch - left, left + columns + level->right);
    else fill(to, 0, left + columns + level->right);
  }
  conv_head(
      stage, weights, bias, adds, worker->scratch + left, pitch, out + (int64_t)row * out_pitch, out_pitch, end - row,
      columns);
}
#endif

/* Columns [from, from + columns) of a convolution's output. `in` is at the oldest row of the halo. */
static void convolve(
    struct worker *worker, const struct stage *stage, struct maps in, struct maps out, int columns) {
  const struct call *call = worker->call;
  const struct attention *at = call->attention;
  const int kernel = stage->taps_query * stage->taps_key;
  for (int head = 0; head < at->group; head++) {
    const int first = head / stage->heads * stage->heads;
    const int which = stage->shared ? (worker->head + head) % stage->heads : worker->head + head;
    const float bias = stage->bias_at < 0 ? 0 : call->parameters[stage->bias_at + which];
    for (int c = 0; c < stage->heads; c++) {
      const float *weights = call->parameters + stage->weight_at + ((int64_t)which * stage->heads + c) * kernel;
      const float *from = in.at + (first + c) * in.head_pitch;
      float *to = out.at + head * out.head_pitch;
#if WITH_CONV_DOCUMENTS
      if (at->documents) {
        const struct level *level = &worker->levels[stage - call->stages];
        const int output_row = worker->row + level->lead - future_of(stage);
        for (int row = 0, end; row < worker->rows; row = end) {
          const int document = sight_in(worker, output_row + row).document;
          for (end = row + 1; end < worker->rows && sight_in(worker, output_row + end).document == document; end++) {
          }
          conv_document(worker, stage, level, weights, bias, c > 0, from, in.pitch, to, out.pitch, columns, row, end);
        }
        continue;
      }
#endif
      conv_head(stage, weights, bias, c > 0, from, in.pitch, to, out.pitch, worker->rows, columns);
    }
  }
}
#endif

#endif
