/*
 * The attention of one group of heads over a contiguous range of rows, strip by strip, in memory that grows with the
 * number of keys only.
 *
 * Within a strip the keys go by in blocks. A convolution needs neighbours: keys to the left, which its input keeps from
 * block to block; keys to the right, for which it lags behind the newest; and rows before and after. What is ahead of a
 * strip's own rows is computed early: a map whose convolutions still to come read `lead` rows ahead runs `lead` rows
 * before the output. Rows behind stay in a ring from strip to strip.
 */
#ifndef MTAC_STRIP_H
#define MTAC_STRIP_H

#include "level.h"

static void add_output(struct worker *worker, struct maps weights, int from, int to);

/* As add_values does, but each row meets the values of the keys that it sees and no other: 0 times NaN would be NaN. */
static void add_faulty_values(
    const struct worker *worker, int head, const float *weights, ptrdiff_t weight_pitch, const float *values,
    int64_t pitch, float *out, int from, int to, int first) {
  const struct call *call = worker->call;
  const int32_t *documents = NULL;
  if (call->attention->documents) documents = call->documents + (int64_t)worker->batch * call->key_rows;
  for (int row = first; row < worker->rows; row++) {
    const int number = worker->row + row;
    const struct sight sight = sight_in(worker, number);
    const float *bias = call->attention->bias && sight.begin < sight.end
        ? bias_row(call, worker->batch, worker->head + head, number)
        : NULL;
    const float *w = weights + (int64_t)(row - first) * weight_pitch;
    float *to_row = out + (int64_t)(row - first) * worker->width;
    for (int key = most(from, sight.begin); key < least(to, sight.end); key++) {
      if (documents && documents[key] != sight.document) continue;
      if (bias && bias[key] == -__builtin_inff()) continue;
      const float *v = values + (key - from) * pitch;
      for (int c = 0; c < worker->width; c += LANES)
        store(to_row + c, multiply_add(broadcast(w[key - from]), load(v + c), load(to_row + c)));
    }
  }
}

/* Where the input of stage `stage` goes: columns [from, to) of it. */
static struct maps target_of(struct worker *worker, int stage, int from, int to) {
  const struct attention *at = worker->call->attention;
  if (stage == at->score_stages) return map_at(worker, from);
  /* Only the input of a convolution has to know where the block ends. */
  (void)to;
#if WITH_CONV
  if (stage < at->score_stages + at->weight_stages && worker->call->stages[stage].kind == STAGE_CONV) {
    open_level(worker, &worker->levels[stage], from, to);
    return level_at(worker, &worker->levels[stage]);
  }
#endif
  return block_at(worker, stage & 1);
}

/*
 * Takes columns [from, to) of a stage's input through it and what follows it in its section: `scores`, or `weights` and
 * the product with V.
 */
static void advance(struct worker *worker, int number, struct maps maps, int from, int to) {
  const struct attention *at = worker->call->attention;
  const int all = at->score_stages + at->weight_stages;
  if (worker->weighs ? number == all : number == at->score_stages) {
    if (worker->weighs) add_output(worker, maps, from, to);
    return;
  }
#if WITH_STAGES
  const struct call *call = worker->call;
  const struct stage *stage = &call->stages[number];
#if WITH_CONV
  if (stage->kind == STAGE_CONV) {
    struct level *level = &worker->levels[number];
    const int whole = reads_map(at, call->stages, number);
    if (!whole) close_level(worker, level, from, to);
    int key = whole ? from : level->next;
    const int last = whole || to >= worker->key_end ? to : to - level->lag;
    maps.at -= (int64_t)level->halo * maps.pitch + from;
    while (key < last) {
      const int stop = least(key + at->block, last);
      struct maps source = maps, target = target_of(worker, number + 1, key, stop);
      source.at += key;
      convolve(worker, stage, source, target, stop - key);
      level->next = stop;
      advance(worker, number + 1, target, key, stop);
      key = stop;
    }
    return;
  }
#endif
  struct maps target = target_of(worker, number + 1, from, to);
#if WITH_MIX
  if (stage->kind == STAGE_MIX) {
    /* Where heads see different keys, a mix would meet what some of them do not see. The map of weights is clean. */
    if (at->bias && !(worker->weighs && number == at->score_stages))
      hide_maps(worker, maps, future_rows(call->stages, number, all), from, to);
    for (int head = 0; head < at->group; head += stage->heads) {
      struct maps in = maps, out = target;
      in.at += head * in.head_pitch;
      out.at += head * out.head_pitch;
      const float *weights = call->parameters + stage->weight_at + (int64_t)(worker->head + head) * stage->heads;
      mix_group(weights, stage->heads, in, out, worker->rows, to - from);
    }
  }
#endif
#if WITH_DROPOUT
  if (stage->kind == STAGE_DROPOUT) {
    const int row = worker->row + future_rows(call->stages, number, all);
    for (int head = 0; head < at->group; head++) {
      struct maps in = maps, out = target;
      in.at += head * in.head_pitch;
      out.at += head * out.head_pitch;
      drop_entries(call, stage, worker->batch, worker->head + head, row, from, in, out, worker->rows, to - from);
    }
  }
#endif
#if WITH_CHANGES
  if (stage->kind == STAGE_SOFTCAP || stage->kind == STAGE_RELU)
    change_entries(stage, maps, target, at->group, worker->rows, to - from);
#endif
  advance(worker, number + 1, target, from, to);
#endif
}

/* Scores of the strip's rows for keys [from, to), whole panels. */
static void score_block(struct worker *worker, struct maps target, int from, int to) {
  const struct call *call = worker->call;
  const struct attention *at = call->attention;
  const int rows = round_up(worker->rows, ROWS), panels = (call->key_rows + PANEL - 1) / PANEL;
  const int sharing = at->heads / at->kv_heads;
  const size_t panel_floats = (size_t)at->head_dim * PANEL;
  for (int head = 0, end; head < at->group; head = end) {
    const int kv_head = (worker->head + head) / sharing;
    end = least(at->group, (kv_head + 1) * sharing - worker->head);
    for (int key = from; key < to; key += PANEL) {
      const float *panel = worker->panel;
      if (worker->packed)
        panel = worker->packed +
            (((size_t)worker->batch * at->kv_heads + kv_head) * panels + key / PANEL) * panel_floats;
      else pack_rows(call, &call->k, at->head_dim, worker->batch, kv_head, key, worker->panel);
      for (int n = head; n < end; n++)
        score_panel(
            worker->q + (int64_t)n * at->strip * at->head_dim, panel, target.at + n * target.head_pitch + key - from,
            target.pitch, rows, at->head_dim);
    }
  }
}

/* Whether the values of keys [from, from + keys) are finite: known where K was packed, else seen here. */
static int are_finite(
    const struct worker *worker, int kv_head, const float *values, int64_t pitch, int from, int keys) {
  if (worker->packed == NULL) return all_finite(values, pitch, keys, worker->width);
  const struct call *call = worker->call;
  const int panels = (call->key_rows + PANEL - 1) / PANEL;
  const unsigned char *faulty = worker->faulty + ((size_t)worker->batch * call->attention->kv_heads + kv_head) * panels;
  int sum = 0;
  for (int panel = from / PANEL; panel * PANEL < from + keys; panel++) sum |= faulty[panel];
  return !sum;
}

/* o += A V for keys [from, to): `weights` are hidden where they should be, or else hidden here. */
static void add_output(struct worker *worker, struct maps weights, int from, int to) {
  const struct call *call = worker->call;
  const struct attention *at = call->attention;
  const int first = most(0, worker->first_row - worker->row) / ROWS * ROWS, rows = round_up(worker->rows, ROWS) - first;
  const int keys = least(to, worker->value_end) - from, sharing = at->heads / at->kv_heads;
  if (at->weight_stages > 0) hide_maps(worker, weights, 0, from, to);
  if (rows <= 0 || keys <= 0) return;
  for (int head = 0; head < at->group; head++) {
    const int kv_head = (worker->head + head) / sharing;
    const int64_t start = row_of(&call->v, worker->batch, kv_head, from);
    const float *values = worker->values;
    int64_t pitch = worker->width;
    if (at->storage == STORAGE_F32 && at->value_dim == worker->width) {
      values = (const float *)call->v.data + start;
      pitch = call->v.row_stride;
    } else if (worker->values_head != kv_head || worker->values_from != from) {
      for (int key = 0; key < keys; key++) {
        float *row = worker->values + (int64_t)key * worker->width;
        read_stored(row, call->v.data, start + key * call->v.row_stride, at->value_dim, at->storage, 1);
        for (int c = at->value_dim; c < worker->width; c++) row[c] = 0;
      }
      worker->values_head = kv_head;
      worker->values_from = from;
    }
    const float *w = weights.at + head * weights.head_pitch + (int64_t)first * weights.pitch;
    float *out = worker->out + ((int64_t)head * at->strip + first) * worker->width;
    /* The next head's values, or the first one's of the next keys. */
    const float *next = values;
    if (values != worker->values)
      next += head + 1 < at->group ? ((head + 1) % sharing == 0 ? call->v.head_stride : 0) : 0;
    if (are_finite(worker, kv_head, values, pitch, from, keys))
      add_values(w, weights.pitch, values, pitch, out, worker->width, rows, keys, next);
    else add_faulty_values(worker, head, w, weights.pitch, values, pitch, out, from, from + keys, first);
  }
}

/* What the rows of the strip, and those before and after that it needs, see. Returns 0 if nothing at all. */
static int look(struct worker *worker) {
  const struct call *call = worker->call;
  const struct attention *at = call->attention;
  const int lead = future_rows(call->stages, 0, at->score_stages + at->weight_stages);
  int begin = call->key_rows, end = 0;
  worker->value_end = 0;
  for (int row = -worker->history; row < worker->rows + lead; row++) {
    const struct sight sight = sight_of(call, worker->batch, worker->row + row);
    worker->sights[row + worker->history] = sight;
    if (sight.begin >= sight.end) continue;
    begin = least(begin, sight.begin);
    end = most(end, sight.end);
    if (row >= 0 && row < worker->rows) worker->value_end = most(worker->value_end, sight.end);
  }
  begin = begin / PANEL * PANEL;
  /* Rows of the map keep what older strips left in columns that this one no longer has. */
  if (end > 0)
    for (int head = 0; head < at->group; head++)
      for (int row = 0; row < at->strip; row++) {
        struct maps map = map_at(worker, worker->key_begin);
        if (worker->key_begin < begin)
          fill(map.at + head * map.head_pitch + (int64_t)row * map.pitch, 0, begin - worker->key_begin);
      }
  worker->key_begin = begin;
  worker->key_end = round_up(end, PANEL);
  return end > 0;
}

/* Forgets all rows before: at the start, and after rows that see nothing. */
static void forget(struct worker *worker) {
  const struct call *call = worker->call;
  const struct attention *at = call->attention;
  const size_t keys = (size_t)round_up(call->key_rows, PANEL);
  for (int n = 0; n < at->score_stages + at->weight_stages; n++) {
    const struct level *level = &worker->levels[n];
    if (call->stages[n].kind != STAGE_CONV || level->ring == NULL) continue;
    zero(level->ring, (size_t)at->group * (size_t)level->halo * keys);
  }
  zero(worker->map, (size_t)at->group * (size_t)(worker->map_halo + at->strip) * (size_t)worker->map_pitch);
  worker->key_begin = 0;
}

/* q of the rows whose scores the strip computes: scaled, 0 for rows that are not there. */
static void read_queries(struct worker *worker) {
  const struct call *call = worker->call;
  const struct attention *at = call->attention;
  const int lead = future_rows(call->stages, 0, at->score_stages + at->weight_stages);
  const int rows = round_up(worker->rows, ROWS);
  for (int head = 0; head < at->group; head++)
    for (int row = 0; row < rows; row++) {
      float *to = worker->q + ((int64_t)head * at->strip + row) * at->head_dim;
      const int number = worker->row + lead + row;
      const struct tensor *from = number < 0 ? &call->q_history : &call->q;
      if (row >= worker->rows || number < -call->history_rows || number >= call->query_rows) fill(to, 0, at->head_dim);
      else {
        const int64_t start = row_of(
            from, worker->batch, worker->head + head, number < 0 ? call->history_rows + number : number);
        read_stored(to, from->data, start, at->head_dim, at->storage, at->scale);
      }
    }
}

/* Rows that are normalised together: each step of one overlaps with the same step of the next. */
enum { NORMALIZED_ROWS = LANES < 8 ? LANES : 8 };

/* Logits of the strip's rows [first, end) of a head become weights; at most NORMALIZED_ROWS. */
static void normalize_head_rows(struct worker *worker, int head, int first, int end) {
  const struct call *call = worker->call;
  const struct attention *at = call->attention;
  const struct maps map = map_at(worker, worker->key_begin);
  const int from = worker->key_begin, to = worker->key_end, which = worker->head + head;
  const int number = worker->row + worker->map_lead;
  float *rows = map.at + head * map.head_pitch;
  float largest[LANES] = {0}, sums[LANES] = {0}, lse[LANES];
  for (int row = first; row < end; row++)
    largest[row - first] = find_largest(
        call, sight_in(worker, number + row), worker->batch, which, number + row, rows + row * map.pitch, from);
  for (int row = first; row < end; row++)
    sums[row - first] = weigh(at, sight_in(worker, number + row), rows + row * map.pitch, from, largest[row - first]);
  for (int row = first; row < end; row++)
    divide(
        call, sight_in(worker, number + row), worker->batch, which, number + row, rows + row * map.pitch, from, to,
        sums[row - first]);
  if (call->lse == NULL || at->normalizer != NORMALIZE_SOFTMAX) return;
  log_sums(largest, sums, lse);
  float *to_lse = call->lse + ((int64_t)worker->batch * at->heads + which) * call->query_rows;
  for (int row = first; row < end; row++)
    if (number + row >= worker->first_row && number + row < worker->end_row) to_lse[number + row] = lse[row - first];
}

/* Logits of the strip's rows become weights. */
static void normalize_rows(struct worker *worker) {
  for (int head = 0; head < worker->call->attention->group; head++)
    for (int row = 0; row < worker->rows; row += NORMALIZED_ROWS)
      normalize_head_rows(worker, head, row, least(worker->rows, row + NORMALIZED_ROWS));
}

#if WITH_OUTPUT
/* A head's rows of o, from the strip's row `first` on, through the stages of the output. */
static void change_output(struct worker *worker, float *out, int first) {
  const struct call *call = worker->call;
  const struct attention *at = call->attention;
  const int channels = at->value_dim, width = worker->width;
  for (int n = 0; n < at->output_stages; n++) {
    const struct stage *stage = &call->stages[at->score_stages + at->weight_stages + n];
    const float *weight = call->parameters + stage->weight_at, *bias = call->parameters + stage->bias_at;
    if (stage->kind == STAGE_GATE && stage->variant) {
      zero(worker->gates, (size_t)at->strip * (size_t)width);
      add_values(
          out, width, worker->gate_weights, width, worker->gates, width, round_up(worker->rows, ROWS), channels,
          worker->gate_weights);
    }
    for (int row = first; row < worker->rows; row++) {
      float *o = out + row * width;
      if (stage->kind == STAGE_NORM)
        normalize_output(stage, weight, stage->variant ? call->depth_scale : 1, o, channels, width);
      else if (stage->variant) gate_channels(bias, worker->gates + row * width, o, channels, width);
      else gate_row(weight, bias[0], o, channels, width);
    }
  }
}
#endif

/* The strip's rows of o: through the stages of the output, to memory. */
static void write_output(struct worker *worker) {
  const struct call *call = worker->call;
  const struct attention *at = call->attention;
  const int channels = at->value_dim, width = worker->width, first = most(0, worker->first_row - worker->row);
  for (int head = 0; head < at->group; head++) {
    float *out = worker->out + (int64_t)head * at->strip * width;
#if WITH_OUTPUT
    if (call->values != NULL)
      for (int row = first; row < worker->rows; row++)
        write_stored(
            kept_values(call, worker->batch, worker->head + head, worker->row + row), 0, out + row * width, channels,
            STORAGE_F32);
    change_output(worker, out, first);
#endif
    for (int row = first; row < worker->rows; row++) {
      float *o = out + row * width;
      poison(o, channels, width);
      write_stored(
          (void *)call->o.data, row_of(&call->o, worker->batch, worker->head + head, worker->row + row), o, channels,
          at->storage);
    }
  }
}

/* The last rows of the map become the rows before the next strip's. */
static void keep_map(struct worker *worker) {
  const struct attention *at = worker->call->attention;
  /* Behind the strip's keys there is nothing yet. */
  const int from = worker->key_begin - worker->map_pad, count = worker->key_end - from;
  struct maps map = map_at(worker, from);
  for (int head = 0; head < at->group; head++, map.at += map.head_pitch)
    for (int row = -worker->map_halo; row < 0; row++)
      copy(map.at + row * map.pitch, map.at + (row + worker->rows) * map.pitch, count);
}

/* Rows [row, row + rows). */
static void compute_strip(struct worker *worker) {
  const struct call *call = worker->call;
  const struct attention *at = call->attention;
  zero(worker->out, (size_t)at->group * (size_t)at->strip * (size_t)worker->width);
  if (look(worker)) {
    worker->values_head = -1;
    for (int n = 0; n < at->score_stages + at->weight_stages; n++) {
      worker->levels[n].last_columns = 0;
      worker->levels[n].next = worker->key_begin;
    }
    read_queries(worker);
    worker->weighs = 0;
    for (int from = worker->key_begin; from < worker->key_end; from += at->block) {
      const int to = least(from + at->block, worker->key_end);
      struct maps target = target_of(worker, 0, from, to);
      score_block(worker, target, from, to);
      advance(worker, 0, target, from, to);
    }
    normalize_rows(worker);
    worker->weighs = 1;
    for (int from = worker->key_begin; from < worker->key_end; from += at->block)
      advance(worker, at->score_stages, map_at(worker, from), from, least(from + at->block, worker->key_end));
    keep_map(worker);
  } else {
    forget(worker);
    for (int head = 0; head < at->group; head++)
      for (int row = 0; row < worker->rows; row++) {
        const int number = worker->row + worker->map_lead + row;
        if (call->lse && at->normalizer == NORMALIZE_SOFTMAX && number >= worker->first_row && number < worker->end_row)
          call->lse[((int64_t)worker->batch * at->heads + worker->head + head) * call->query_rows + number] =
              -__builtin_inff();
      }
  }
  write_output(worker);
}

/*
 * Rows [first, end) of one batch entry and group of heads. Enough rows before them are computed to know what the
 * convolutions read.
 */
static void compute_rows(struct worker *worker, int batch, int head, int first, int end) {
  const struct call *call = worker->call;
  const struct attention *at = call->attention;
  const int stages = at->score_stages + at->weight_stages;
  const int warm = all_rows(call->stages, stages), lead = future_rows(call->stages, 0, stages);
  worker->batch = batch;
  worker->head = head;
  worker->first_row = first;
  worker->end_row = end;
  forget(worker);
  for (worker->row = most(first - warm, -call->history_rows - lead); worker->row < end; worker->row += worker->rows) {
    worker->rows = least(at->strip, end - worker->row);
    compute_strip(worker);
  }
}

#endif
