/* What a backward pass works with, and where it lies in the workspace. */
#ifndef MTAC_BACKWARD_MEMORY_H
#define MTAC_BACKWARD_MEMORY_H

#include "bands.h"
#include "sight.h"
#include "span.h"

/* What comes in and what goes out; a result that is not wanted is null. */
struct gradients {
  /* Of o, stored as o is. */
  struct tensor d_o;
  /* [batches, heads, query_rows, head_dim], and of the history. */
  float *d_q;
  float *d_q_history;
  /* [batches, kv_heads, key_rows, head_dim] and value_dim. */
  float *d_k;
  float *d_v;
  /* As the parameters lie. */
  float *d_parameters;
  int parameters;
  /* [bias_batches, bias_heads, history_rows + query_rows, key_rows]: an axis of one element is for all. */
  float *d_bias;
  int bias_batches;
  int bias_heads;
};

/* The gradient of K or V of a batch entry, as it adds up. */
struct key_sums {
  /* [batches, kv_heads, key_rows, channels], the caller's; null if it is not wanted. */
  float *result;
  int channels;
  /* [kv_heads][keys][width]: the caller's own, where it has whole vectors and tiles; else memory of the workspace. */
  float *at;
  float *own;
  int keys;
  int width;
};

/* Those who compute a call together: how many, and how one waits for the others. */
struct together {
  int parts;
  void (*wait)(void *context);
  void *context;
};

/* What a part works with; all but `part` and the sights are the same for all parts. */
struct backward {
  const struct call *call;
  const struct gradients *wanted;
  const struct together *together;
  int part;
  int batch;
  int head;
  /* The strip's first row, in the gradient of the raw scores. */
  int row;
  struct sight *sights;
  /* Of each row of the sights and the ROWS - 1 after it: keys that one of them sees. */
  struct span *spans;
  int first_sight;
  int sight_count;
  /* Most rows that a map leads by; rows of the longest band. */
  int most_lead;
  int most_rows;
  int pitch;
  int pad;
  struct band bands[4 * MOST_STAGES + 4];
  int band_count;
  struct chain scores;
  struct chain weights;
  /* K and V in panels: [kv_heads, panels][channels][PANEL]. */
  float *packed_k;
  float *packed_v;
  /* Which panels of K and V hold anything but finite numbers: [kv_heads, panels]. */
  unsigned char *faulty_k;
  unsigned char *faulty_v;
  /* q of the rows whose scores are computed, without gaps, and of the strip's own rows, whole vectors wide; scaled. */
  float *q;
  float *own_q;
  /* What the stages of `output` are given, and the gradient of o: [heads][strip][value_width]; of q
     [heads][strip][head_width]. */
  float *o;
  float *d_o;
  float *d_q;
  struct key_sums d_k;
  struct key_sums d_v;
  int head_width;
  int value_width;
  /* Weights of all stages, turned: a convolution's by 180 degrees and by heads, a mix's transposed. */
  float *turned;
  /*
   * For each task: sums of products, some columns of a row of all heads' maps, a block of K or V, rows of one document.
   */
  vec *sums;
  float *row_maps;
  float *block;
  float *scratch;
  /* What a strip's rows of one head add to the gradients of the parameters of `output`: [parameters]. */
  float *output_sums;
  int64_t sums_each;
  int64_t scratch_each;
  /* [tasks][parameters]: what each task adds to the parameters' gradients. */
  double *shares;
  int tasks;
};

/* Keys that are read, and whose gradients are added to, at a time. */
enum { KEY_BLOCK = 128 };

/* Columns of a mix in place at a time: whole panels. */
enum { MIX_COLUMNS = 128 };

INLINE void meet(const struct backward *b) {
  if (b->together->parts > 1) b->together->wait(b->together->context);
}

INLINE struct band *new_band(struct backward *b) {
  struct band *band = &b->bands[b->band_count++];
  *band = (struct band){0};
  return band;
}

/*
 * Which maps there are. The gradient of a stage that changes entries where they are takes the place of the one that it
 * is made from; that of the logits takes the place of that of the weights.
 */
static void chain_maps(struct backward *b) {
  const struct attention *at = b->call->attention;
  b->band_count = 0;
  b->scores = (struct chain){.stages = b->call->stages, .count = at->score_stages};
  b->weights = (struct chain){.stages = b->call->stages + at->score_stages, .count = at->weight_stages};
  struct chain *const chains[2] = {&b->scores, &b->weights};
  for (int n = 0; n < 2; n++)
    for (int m = 0; m < chains[n]->count + n; m++) chains[n]->maps[m] = new_band(b);
  b->scores.maps[b->scores.count] = b->weights.maps[0];
  struct band *gradient = new_band(b);
  for (int n = 1; n >= 0; n--) {
    chains[n]->gradients[chains[n]->count] = gradient;
    for (int m = chains[n]->count - 1; m >= 0; m--) {
      if (chains[n]->stages[m].kind == STAGE_CONV) gradient = new_band(b);
      chains[n]->gradients[m] = gradient;
    }
  }
  const int between = future_rows(b->call->stages, 0, at->score_stages);
  const int ahead = future_rows(b->call->stages, 0, at->score_stages + at->weight_stages);
  place_chain(&b->weights, between, ahead);
  place_chain(&b->scores, 0, b->weights.maps[0]->lead);
  keep_rows(b->weights.maps[0], b->weights.maps[0]->lead - between);
  b->most_lead = b->most_rows = 0;
  for (int n = 0; n < b->band_count; n++) {
    b->most_lead = most(b->most_lead, b->bands[n].lead);
    b->most_rows = most(b->most_rows, b->bands[n].keep + at->strip);
  }
}

/* Floats that the turned weights of all stages take. */
static uint64_t turned_floats(const struct call *call) {
  const struct attention *at = call->attention;
  uint64_t count = 0;
  for (int n = 0; n < at->score_stages + at->weight_stages; n++) {
    const struct stage *stage = &call->stages[n];
    const int kernel = stage->kind == STAGE_CONV ? stage->taps_query * stage->taps_key : 1;
    if (stage->kind == STAGE_CONV || stage->kind == STAGE_MIX)
      count += (uint64_t)at->heads * (uint64_t)stage->heads * (uint64_t)kernel;
  }
  return count;
}

/* Where the gradient of K or V adds up. */
static struct key_sums place_key_sums(
    const struct call *call, float *result, int channels, unsigned char **workspace, uint64_t *used) {
  const int width = round_up(channels, LANES), keys = round_up(call->key_rows, PANEL);
  struct key_sums sums = {.result = result, .channels = channels, .keys = keys, .width = width};
  if (width == channels && call->key_rows % ROWS == 0) sums.keys = call->key_rows;
  else if (result)
    sums.own = take(workspace, used, (uint64_t)call->attention->kv_heads * (uint64_t)keys * (uint64_t)width, 4);
  return sums;
}

/* Lays out the memory of all parts and returns its bytes; `workspace` may be null, to count. */
static uint64_t lay_out_backward(
    struct backward *b, const struct call *call, const struct gradients *wanted, int part, int parts,
    unsigned char *workspace) {
  const struct attention *at = call->attention;
  const uint64_t strip = (uint64_t)at->strip, group = (uint64_t)at->group, kv_heads = (uint64_t)at->kv_heads;
  const uint64_t panels = (uint64_t)((call->key_rows + PANEL - 1) / PANEL), keys = panels * PANEL;
  uint64_t used = 0;
  b->call = call;
  b->wanted = wanted;
  b->part = part;
  chain_maps(b);
  b->pad = border_of(call);
  b->pitch = (int)keys + 2 * b->pad + 16;
  for (int n = 0; n < b->band_count; n++)
    b->bands[n].at = take(
        &workspace, &used, group * (uint64_t)(at->strip + b->bands[n].keep) * (uint64_t)b->pitch, 4);
  b->sight_count = b->most_lead + b->most_rows;
  b->sights = take(&workspace, &used, (uint64_t)parts * (uint64_t)b->sight_count, sizeof(struct sight));
  if (b->sights) b->sights += (int64_t)part * b->sight_count;
  b->spans = take(&workspace, &used, (uint64_t)parts * (uint64_t)b->sight_count, sizeof(struct span));
  if (b->spans) b->spans += (int64_t)part * b->sight_count;
  b->head_width = round_up(at->head_dim, LANES);
  b->value_width = round_up(at->value_dim, LANES);
  const uint64_t head_width = (uint64_t)b->head_width, value_width = (uint64_t)b->value_width;
  b->packed_k = take(&workspace, &used, kv_heads * keys * (uint64_t)at->head_dim, 4);
  b->packed_v = take(&workspace, &used, kv_heads * keys * (uint64_t)at->value_dim, 4);
  b->faulty_k = take(&workspace, &used, kv_heads * panels, 1);
  b->faulty_v = take(&workspace, &used, kv_heads * panels, 1);
  b->q = take(&workspace, &used, group * strip * (uint64_t)at->head_dim, 4);
  b->own_q = take(&workspace, &used, group * strip * head_width, 4);
  b->o = take(&workspace, &used, group * strip * value_width, 4);
  b->d_o = take(&workspace, &used, group * strip * value_width, 4);
  b->d_q = take(&workspace, &used, group * strip * head_width, 4);
  b->d_k = place_key_sums(call, wanted->d_k, at->head_dim, &workspace, &used);
  b->d_v = place_key_sums(call, wanted->d_v, at->value_dim, &workspace, &used);
  b->turned = take(&workspace, &used, turned_floats(call), 4);
  b->tasks = most(at->group, at->strip / ROWS);
  b->sums_each = 1;
  b->scratch_each = (int64_t)b->most_rows * b->pitch;
  for (int n = 0; n < at->score_stages + at->weight_stages; n++) {
    const struct stage *stage = &call->stages[n];
    if (stage->kind == STAGE_MIX && b->sums_each < (int64_t)stage->heads * stage->heads)
      b->sums_each = (int64_t)stage->heads * stage->heads;
    if (stage->kind == STAGE_CONV && b->sums_each < (int64_t)stage->taps_query * stage->taps_key)
      b->sums_each = (int64_t)stage->taps_query * stage->taps_key;
  }
  const uint64_t all_parts = (uint64_t)parts, own = (uint64_t)part;
  b->sums = take(&workspace, &used, all_parts * (uint64_t)b->sums_each, sizeof(vec));
  b->row_maps = take(&workspace, &used, all_parts * group * MIX_COLUMNS, 4);
  const uint64_t width = head_width > value_width ? head_width : value_width;
  b->block = take(&workspace, &used, all_parts * KEY_BLOCK * width, 4);
  b->scratch = at->documents ? take(&workspace, &used, all_parts * (uint64_t)b->scratch_each, 4) : NULL;
  b->output_sums = take(&workspace, &used, all_parts * (uint64_t)wanted->parameters, 4);
  if (b->sums) {
    b->output_sums += own * (uint64_t)wanted->parameters;
    b->sums += own * (uint64_t)b->sums_each;
    b->row_maps += own * group * MIX_COLUMNS;
    b->block += own * KEY_BLOCK * width;
    if (b->scratch) b->scratch += own * (uint64_t)b->scratch_each;
  }
  b->shares = take(&workspace, &used, (uint64_t)b->tasks * (uint64_t)wanted->parameters, sizeof(double));
  return used;
}

INLINE struct sight sight_at(const struct backward *b, int row) { return b->sights[row - b->first_sight]; }

INLINE const struct span *spans_at(const struct backward *b, int row) { return b->spans + row - b->first_sight; }

/* A map's newest row `row` (0 is the first) of a head, at key 0. */
INLINE float *band_row(const struct backward *b, const struct band *band, int head, int row) {
  const int rows = b->call->attention->strip + band->keep;
  return band->at + ((int64_t)head * rows + row) * b->pitch + b->pad;
}

INLINE int64_t head_pitch(const struct backward *b, const struct band *band) {
  return (int64_t)(b->call->attention->strip + band->keep) * b->pitch;
}

/* The newest rows of a map, of all heads, from column `column` on. */
INLINE struct maps newest(const struct backward *b, const struct band *band, int column) {
  return (struct maps){band_row(b, band, 0, 0) + column, head_pitch(b, band), b->pitch};
}

/* The first of a map's newest rows, by its number in the call. */
INLINE int first_row_of(const struct backward *b, const struct band *band) { return b->row - band->lead; }

/* Columns from the first of a map on, whole vectors, that rows [row, end) see any of. */
INLINE int seen_columns(const struct backward *b, const struct band *band, int row, int end) {
  int last = band->begin;
  for (int n = row; n < end; n++) {
    const struct sight sight = sight_at(b, first_row_of(b, band) + n);
    if (sight.begin < sight.end) last = most(last, sight.end);
  }
  return round_up(last - band->begin, LANES);
}

/* Hides what a row of a map does not see, wherever this or an older row in its place has numbers. */
INLINE void settle_row(const struct backward *b, const struct band *band, int head, int row) {
  const int number = first_row_of(b, band) + row;
  const int from = least(band->begin, band->used_begin), to = most(band->end, band->used_end);
  hide_row(
      b->call, sight_at(b, number), b->batch, b->head + head, number, band_row(b, band, head, row) + from, from, to, 0);
}

NOINLINE void settle_head(const struct backward *b, const struct band *band, int head) {
  for (int row = 0; row < b->call->attention->strip; row++) settle_row(b, band, head, row);
}

#endif
