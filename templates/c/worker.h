/* What a thread works with, and where it lies in the workspace. */
#ifndef MTAC_WORKER_H
#define MTAC_WORKER_H

#include "parts.h"

#if WITH_CONV
#include "conv.h"
#endif
#include "mix.h"
#include "output.h"
#include "scores.h"
#include "softmax.h"
#include "workspace.h"

/* The input of a convolution. */
struct level {
  /* Rows before a strip's own that the input keeps. */
  int halo;
  /* Rows that the input's newest rows are ahead of the output of the attention. */
  int lead;
  /* Columns that the output lags behind the input; columns before a block that are kept; columns that are read after
     the last. */
  int lag;
  int carry;
  int right;
  /* [heads][halo + strip][pitch]; null for the one that reads the map of weights. */
  float *block;
  int pitch;
  /* [heads][halo][ring_pitch]: the halo of all keys; column 0 is key 0. */
  float *ring;
  /* Within a strip: columns of the last block, and the first column whose output is missing. */
  int last_columns;
  int next;
};

/* What a thread works with. */
struct worker {
  const struct call *call;
  const float *packed;
  /* Which panels of V hold anything but finite numbers: [batches, kv_heads, panels], beside packed K. */
  const unsigned char *faulty;
  /* value_dim^2: the transposed weights of a gate by channels, whole vectors wide. */
  const float *gate_weights;
  int batch;
  int head;
  /* Of the range that the worker computes: rows before the first are warming up. */
  int first_row;
  int end_row;
  /* Of the strip: its first row, its rows, keys [key_begin, key_end). */
  int row;
  int rows;
  int key_begin;
  int key_end;
  /* Whether the strip's scores are done, and its weights on their way. */
  int weighs;
  /* Keys from here on are seen by none of the strip's own rows. */
  int value_end;
  /* What the rows from `row - history` on see. */
  struct sight *sights;
  int history;
  struct level levels[2 * MOST_STAGES];
  /* q of the strip: [heads][strip][head_dim], scaled. */
  float *q;
  /* The logits, then weights: [heads][halo + strip][map_pitch], key 0 at column `map_pad`. */
  float *map;
  int map_pitch;
  int map_pad;
  int map_halo;
  int map_lead;
  /* Blocks between stages: [heads][strip][block]. */
  float *blocks[2];
  /* Sums of the output: [heads][strip][width]. */
  float *out;
  int width;
  /* V of a block where it is not stored as floats in whole vectors: [block][width]. */
  float *values;
  int values_head;
  int values_from;
  /* What a gate by channels adds up: [strip][width]. */
  float *gates;
  /* A convolution's input where rows of several documents meet: [halo + strip][scratch_pitch]. */
  float *scratch;
  int scratch_pitch;
  /* K of one panel where it is not packed beforehand. */
  float *panel;
};

/* Whether the first stage on the weights is a convolution, which reads the map itself. */
INLINE int reads_map(const struct attention *at, const struct stage *stages, int stage) {
  return stage == at->score_stages && at->weight_stages > 0 && stages[stage].kind == STAGE_CONV;
}

/* Lays out a worker's memory in the workspace and returns its bytes; `workspace` may be null, to count. */
static uint64_t lay_out(struct worker *worker, const struct call *call, unsigned char *workspace) {
  const struct attention *at = call->attention;
  const struct stage *stages = call->stages;
  const int stage_count = at->score_stages + at->weight_stages;
  const uint64_t strip = (uint64_t)at->strip, group = (uint64_t)at->group;
  const int keys = round_up(call->key_rows, PANEL);
  uint64_t used = 0;
  int scratch_pitch = 0, scratch_rows = 0;
  worker->call = call;
  worker->history = 0;
  worker->map_halo = 0;
  worker->map_pad = LANES;
  int map_right = LANES;
  worker->map_lead = future_rows(stages, at->score_stages, stage_count);
  for (int n = 0; n < stage_count; n++) {
    if (stages[n].kind != STAGE_CONV) continue;
    struct level *level = &worker->levels[n];
    const int left = stages[n].origin_key * stages[n].dilation_key;
    level->right = round_up((stages[n].taps_key - 1 - stages[n].origin_key) * stages[n].dilation_key, LANES);
    level->halo = halo_of(&stages[n]);
    level->lead = future_rows(stages, n, stage_count);
    level->block = level->ring = NULL;
    level->carry = round_up(left, LANES);
    if (reads_map(at, stages, n)) {
      level->lag = 0;
      worker->map_halo = level->halo;
      worker->map_pad += level->carry;
      map_right += level->right;
    } else {
      level->lag = level->right;
      level->carry += level->lag;
      /* One line of cache more: rows that are a power of two apart would all meet in the same few places of the
         cache. */
      level->pitch = level->carry + at->block + level->right + 16;
      level->block = take(&workspace, &used, group * (uint64_t)(level->halo + at->strip) * (uint64_t)level->pitch, 4);
      level->ring = take(&workspace, &used, group * (uint64_t)level->halo * (uint64_t)keys, 4);
    }
    scratch_pitch = most(scratch_pitch, round_up(left, LANES) + at->block + level->right);
    scratch_rows = most(scratch_rows, level->halo + at->strip);
    worker->history = most(worker->history, level->halo);
  }
  worker->map_pitch = worker->map_pad + keys + map_right + 16;
  worker->map =
      take(&workspace, &used, group * (uint64_t)(worker->map_halo + at->strip) * (uint64_t)worker->map_pitch, 4);
  worker->sights = take(
      &workspace, &used, (uint64_t)(worker->history + at->strip + future_rows(stages, 0, stage_count)),
      sizeof(struct sight));
  worker->q = take(&workspace, &used, group * strip * (uint64_t)at->head_dim, 4);
  for (int n = 0; n < 2; n++)
    worker->blocks[n] = stage_count == 0 ? NULL : take(&workspace, &used, group * strip * (uint64_t)at->block, 4);
  worker->width = round_up(at->value_dim, LANES);
  worker->out = take(&workspace, &used, group * strip * (uint64_t)worker->width, 4);
  worker->values = take(&workspace, &used, (uint64_t)at->block * (uint64_t)worker->width, 4);
  worker->gates = take(&workspace, &used, strip * (uint64_t)worker->width, 4);
  worker->scratch_pitch = scratch_pitch;
  worker->scratch = at->documents ? take(&workspace, &used, (uint64_t)scratch_rows * (uint64_t)scratch_pitch, 4) : NULL;
  worker->panel = take(&workspace, &used, (uint64_t)at->head_dim * PANEL, 4);
  return used;
}

/* What a strip's row sees, by its number in the call. */
INLINE struct sight sight_in(const struct worker *worker, int row) {
  return worker->sights[row - worker->row + worker->history];
}

/* Where the map holds a key of the strip's first row. */
INLINE struct maps map_at(const struct worker *worker, int key) {
  const int rows = worker->map_halo + worker->call->attention->strip;
  return (struct maps){
      worker->map + (int64_t)worker->map_halo * worker->map_pitch + worker->map_pad + key,
      (int64_t)rows * worker->map_pitch, worker->map_pitch};
}

INLINE struct maps block_at(const struct worker *worker, int which) {
  const struct attention *at = worker->call->attention;
  return (struct maps){worker->blocks[which], (int64_t)at->strip * at->block, at->block};
}

#endif
