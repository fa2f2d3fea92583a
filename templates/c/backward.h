/*
 * The backward pass of a call: gradients of q, k, v and the parameters, from that of o. What the forward pass computed
 * is computed again, strip by strip, from the last row to the first; memory grows with the number of keys only.
 *
 * Every map is 0 where its own row and head do not see its key. All parts work on one strip, and wait for each other
 * after each step: a step's tasks do not depend on who does them, so that the bits are the same for any number of
 * parts.
 */
#ifndef MTAC_BACKWARD_H
#define MTAC_BACKWARD_H

#include "output-adjoint.h"
#include "products.h"

/* What the rows of the strip's maps see, and which columns their newest rows have. */
static void look_back(struct backward *b) {
  const int strip = b->call->attention->strip;
  b->first_sight = b->row - b->most_lead;
  for (int n = 0; n < b->sight_count; n++) b->sights[n] = sight_of(b->call, b->batch, b->first_sight + n);
  for (int n = b->sight_count - 1; n >= 0; n--) {
    b->spans[n] = (struct span){b->sights[n].begin, b->sights[n].end};
    for (int m = n + 1; m < least(n + ROWS, b->sight_count); m++)
      b->spans[n] = join_spans(b->spans[n], (struct span){b->sights[m].begin, b->sights[m].end});
  }
  for (int n = 0; n < b->band_count; n++) {
    struct band *band = &b->bands[n];
    int begin = b->call->key_rows, end = 0;
    for (int row = 0; row < strip; row++) {
      const struct sight sight = sight_at(b, first_row_of(b, band) + row);
      if (sight.begin >= sight.end) continue;
      begin = least(begin, sight.begin);
      end = most(end, sight.end);
    }
    band->used_begin = band->begin;
    band->used_end = band->end;
    band->begin = end > 0 ? begin / PANEL * PANEL : 0;
    band->end = round_up(end, PANEL);
  }
}

/* Rows that are still read make room for the strip's. */
static void move_rows(struct backward *b) {
  const struct attention *at = b->call->attention;
  EACH_TASK(b, task, b->band_count * at->group) {
    const struct band *band = &b->bands[task / at->group];
    const int head = task % at->group;
    const int from = least(band->kept_begin, band->used_begin), to = most(band->kept_end, band->used_end);
    for (int row = band->keep - 1; row >= 0; row--)
      copy(band_row(b, band, head, at->strip + row) + from, band_row(b, band, head, row) + from, to - from);
  }
  for (int n = 0; n < b->band_count; n++) {
    struct band *band = &b->bands[n];
    /* Where more rows are kept than a strip has, some of them were kept before. */
    const int all = band->keep > at->strip;
    band->kept_begin = all ? least(band->kept_begin, band->used_begin) : band->used_begin;
    band->kept_end = all ? most(band->kept_end, band->used_end) : band->used_end;
  }
}

#if WITH_STAGES
/* Whether a head's map after the stage depends on its own map before it only. */
INLINE int keeps_to_heads(const struct stage *stage) {
  return stage->kind != STAGE_MIX && (stage->kind != STAGE_CONV || stage->heads == 1);
}

/* A stage forward, for the strip's rows of one head. */
NOINLINE void run_head_stage(
    const struct backward *b, const struct stage *stage, const struct band *in, const struct band *out, int head) {
#if WITH_CONV
  if (stage->kind == STAGE_CONV) convolve_forward(b, stage, in, out, head);
#endif
#if WITH_DROPOUT
  if (stage->kind == STAGE_DROPOUT) drop_head(b, stage, in, out, head);
#endif
#if WITH_CHANGES
  if (stage->kind == STAGE_SOFTCAP || stage->kind == STAGE_RELU) change_head(b, stage, in, out, head);
#endif
  (void)stage, (void)in;
  settle_head(b, out, head);
}

/* A stage that joins heads, for the strip's rows. */
static void run_stage(
    const struct backward *b, const struct stage *stage, const struct band *in, const struct band *out) {
  const struct attention *at = b->call->attention;
#if WITH_MIX
  if (stage->kind == STAGE_MIX) {
    EACH_TASK(b, row, at->strip) {
      mix_row(b, stage, b->call->parameters + stage->weight_at, in, out, row);
      for (int head = 0; head < at->group; head++) settle_row(b, out, head, row);
    }
    return;
  }
#endif
  EACH_TASK(b, head, at->group) run_head_stage(b, stage, in, out, head);
}

/* Stages of a chain from number `n` on, as long as a head needs no other: while its maps are in the cache. */
NOINLINE void run_own_stages(const struct backward *b, const struct chain *chain, int n, int head) {
  for (; n < chain->count && keeps_to_heads(&chain->stages[n]); n++)
    run_head_stage(b, &chain->stages[n], chain->maps[n], chain->maps[n + 1], head);
}

/* The rest of a chain of which each head has done what it can do alone. */
static void run_chain(const struct backward *b, const struct chain *chain) {
  int n = 0;
  while (n < chain->count) {
    for (; n < chain->count && keeps_to_heads(&chain->stages[n]); n++) {
    }
    if (n == chain->count) return;
    meet(b);
    run_stage(b, &chain->stages[n], chain->maps[n], chain->maps[n + 1]);
    n++;
    if (n == chain->count || !keeps_to_heads(&chain->stages[n])) continue;
    meet(b);
    EACH_TASK(b, head, b->call->attention->group) run_own_stages(b, chain, n, head);
  }
}
#endif

/* A head's rows of the raw scores. */
static void compute_scores(const struct backward *b, int head) {
  const struct attention *at = b->call->attention;
  const struct band *raw = b->scores.maps[0];
  float *q = b->q + (int64_t)head * at->strip * at->head_dim;
  for (int row = 0; row < at->strip; row++)
    read_query(b, head, first_row_of(b, raw) + row, q + row * at->head_dim, at->head_dim);
  multiply_keys(b, q, b->packed_k, at->head_dim, raw, head);
  settle_head(b, raw, head);
}

/* A head's logits become weights. */
static void normalize_logits(const struct backward *b, int head) {
  const struct call *call = b->call;
  const struct attention *at = call->attention;
  const struct band *logits = b->weights.maps[0];
  for (int row = 0; row < at->strip; row++) {
    const int number = first_row_of(b, logits) + row, from = least(logits->begin, logits->used_begin);
    const int to = most(logits->end, logits->used_end);
    float *weights = band_row(b, logits, head, row) + from;
    const struct sight sight = sight_at(b, number);
    const float largest = find_largest(call, sight, b->batch, b->head + head, number, weights, from);
    const float sum = weigh(at, sight, weights, from, largest);
    divide(call, sight, b->batch, b->head + head, number, weights, from, to, sum);
  }
}

/* The raw scores of the strip, then all stages, the normaliser among them: the maps of the forward pass. */
static void compute_maps(const struct backward *b) {
  const struct attention *at = b->call->attention;
  EACH_TASK(b, head, at->group) {
    compute_scores(b, head);
#if WITH_STAGES
    run_own_stages(b, &b->scores, 0, head);
#endif
  }
#if WITH_STAGES
  run_chain(b, &b->scores);
#endif
  meet(b);
  EACH_TASK(b, head, at->group) {
    normalize_logits(b, head);
#if WITH_STAGES
    run_own_stages(b, &b->weights, 0, head);
#endif
  }
#if WITH_STAGES
  run_chain(b, &b->weights);
#endif
  meet(b);
}

/* A head's rows of the gradient of o: of what comes out of `output`, and from that of what its stages are given. */
static void adjoin_output(const struct backward *b, int head) {
  const struct call *call = b->call;
  const struct attention *at = call->attention;
  const struct band *weights = b->weights.maps[b->weights.count];
  const int width = b->value_width, channels = at->value_dim, first = first_row_of(b, weights);
  float *d_o = b->d_o + (int64_t)head * at->strip * width;
  for (int row = 0; row < at->strip; row++) {
    fill(d_o + row * width, 0, width);
    if (first + row < 0 || first + row >= call->query_rows) continue;
    const struct tensor *from = &b->wanted->d_o;
    read_stored(
        d_o + row * width, from->data, row_of(from, b->batch, b->head + head, first + row), channels, at->storage, 1);
  }
#if WITH_OUTPUT
  if (at->output_stages == 0) return;
  float *o = b->o + (int64_t)head * at->strip * width;
  if (call->values == NULL) multiply_values(b, weights, head, &call->v, b->faulty_v, channels, width, o);
  for (int row = 0; row < at->strip; row++) {
    const int number = first + row;
    if (number < 0 || number >= call->query_rows) continue;
    const float *given = call->values ? kept_values(call, b->batch, b->head + head, number) : o + row * width;
    adjoin_output_row(call, given, d_o + row * width, b->output_sums);
  }
  gather_output_sums(call, b->output_sums, b->shares + (int64_t)head * b->wanted->parameters);
#endif
}

/* Gradients of the normaliser's input, in place over those of the weights. */
static void normalizer_adjoint(const struct backward *b, int head) {
  const struct attention *at = b->call->attention;
  const struct band *weights = b->weights.maps[0], *gradient = b->weights.gradients[0];
  const int offset = first_row_of(b, gradient) - first_row_of(b, weights);
  for (int row = 0; row < at->strip; row++) {
    const float *w = band_row(b, weights, head, offset + row);
    float *d = band_row(b, gradient, head, row);
    vec sums = broadcast(0), ones = broadcast(0);
    for (int key = gradient->begin; key < gradient->end; key += LANES) {
      const vec x = load(w + key), dx = load(d + key);
      if (at->normalizer == NORMALIZE_SOFTMAX) sums = multiply_add(x, dx, sums);
      else {
        const vec_i above = x > 0.f;
        sums += choose(above, dx, broadcast(0));
        ones += choose(above, broadcast(1), broadcast(0));
      }
    }
    const float sum = sum_of(sums), count = at->normalizer == NORMALIZE_SOFTMAX ? 1 : sum_of(ones);
    const vec mean = broadcast(count == 0 ? 0 : sum / count);
    for (int key = gradient->begin; key < gradient->end; key += LANES) {
      const vec x = load(w + key), rest = load(d + key) - mean;
      /* What has no weight has no gradient, though the row's mean be NaN. */
      if (at->normalizer == NORMALIZE_SOFTMAX) store(d + key, choose(x != 0.f, x * rest, broadcast(0)));
      else store(d + key, choose(x > 0.f, rest, broadcast(0)));
    }
  }
}

#if WITH_BIAS
/* A row of the gradient of the bias, of a batch entry and a head; rows of history come first. */
INLINE float *bias_gradient_row(const struct backward *b, int batch, int head, int row) {
  const struct gradients *wanted = b->wanted;
  const int64_t rows = b->call->history_rows + b->call->query_rows;
  const int64_t entry = (int64_t)(wanted->bias_batches == 1 ? 0 : batch) * wanted->bias_heads;
  const int64_t line = (entry + (wanted->bias_heads == 1 ? 0 : head)) * rows + b->call->history_rows + row;
  return wanted->d_bias + line * b->call->key_rows;
}

/* Adds the gradients of the normaliser's input to that of the bias: heads that share a row one after the other. */
static void add_bias_gradients(const struct backward *b) {
  const struct call *call = b->call;
  const struct attention *at = call->attention;
  const struct band *gradient = b->weights.gradients[0];
  EACH_TASK(b, row, at->strip) {
    const int number = first_row_of(b, gradient) + row, end = least(gradient->end, call->key_rows);
    if (number < -call->history_rows || number >= call->query_rows) continue;
    for (int head = 0; head < at->group; head++) {
      const float *from = band_row(b, gradient, head, row);
      float *to = bias_gradient_row(b, b->batch, b->head + head, number);
      int key = gradient->begin;
      for (; key + LANES <= end; key += LANES) store(to + key, load(to + key) + load(from + key));
      for (; key < end; key++) to[key] += from[key];
    }
  }
}

/* The gradient of the bias begins at 0. */
static void clear_bias_gradient(const struct backward *b) {
  const int rows = b->call->history_rows + b->call->query_rows;
  for (int batch = 0; batch < b->wanted->bias_batches; batch++)
    for (int head = 0; head < b->wanted->bias_heads; head++)
      EACH_TASK(b, row, rows)
        zero(bias_gradient_row(b, batch, head, row - b->call->history_rows), (size_t)b->call->key_rows);
}
#endif

#if WITH_STAGES
/* Where the turned weights of a stage lie. */
INLINE const float *turned_weights(const struct backward *b, const struct stage *stage) {
  const struct call *call = b->call;
  const float *turned = b->turned;
  for (const struct stage *before = call->stages; before < stage; before++)
    if (before->kind == STAGE_CONV || before->kind == STAGE_MIX)
      turned += (int64_t)call->attention->heads * before->heads *
          (before->kind == STAGE_CONV ? before->taps_query * before->taps_key : 1);
  return turned;
}

/* A stage backward, for the strip's rows of one head: gradients of its parameters, then of its input. */
NOINLINE void adjoin_head_stage(
    const struct backward *b, const struct stage *stage, const struct band *in, const struct band *gradient,
    const struct band *out, int head) {
#if WITH_CONV
  if (stage->kind == STAGE_CONV) {
    convolve_weights(b, stage, in, gradient, head, b->shares + (int64_t)head * b->wanted->parameters);
    convolve_adjoint(b, stage, turned_weights(b, stage), gradient, out, head);
  }
#endif
#if WITH_DROPOUT
  if (stage->kind == STAGE_DROPOUT) drop_head(b, stage, gradient, gradient, head);
#endif
#if WITH_CHANGES
  if (stage->kind == STAGE_SOFTCAP || stage->kind == STAGE_RELU) change_adjoint(b, stage, in, gradient, head);
#endif
  (void)stage, (void)in, (void)gradient;
  settle_head(b, out, head);
}

/* The same of a stage that joins heads. */
static void adjoin_stage(
    const struct backward *b, const struct stage *stage, const struct band *in, const struct band *gradient,
    const struct band *out) {
  const struct attention *at = b->call->attention;
#if WITH_MIX
  if (stage->kind == STAGE_MIX) {
    const float *turned = turned_weights(b, stage);
    EACH_TASK(b, task, at->strip / ROWS) {
      double *share = b->shares + (int64_t)task * b->wanted->parameters;
      mix_weights(b, stage, in, gradient, task * ROWS, (task + 1) * ROWS, share);
      for (int row = task * ROWS; row < (task + 1) * ROWS; row++) {
        mix_row(b, stage, turned, gradient, out, row);
        for (int head = 0; head < at->group; head++) settle_row(b, out, head, row);
      }
    }
    return;
  }
#endif
  EACH_TASK(b, head, at->group) adjoin_head_stage(b, stage, in, gradient, out, head);
}
#endif

/* A head's rows of the gradient of q. */
static void write_query_gradients(const struct backward *b, int head) {
  const struct call *call = b->call;
  const struct attention *at = call->attention;
  const struct band *raw = b->scores.gradients[0];
  float *d_q = b->d_q + (int64_t)head * at->strip * b->head_width;
  multiply_values(b, raw, head, &call->k, b->faulty_k, at->head_dim, b->head_width, d_q);
  for (int row = 0; row < at->strip; row++) {
    const int number = first_row_of(b, raw) + row;
    if (number < -call->history_rows || number >= call->query_rows) continue;
    float *to = number < 0 ? b->wanted->d_q_history : b->wanted->d_q;
    const int rows = number < 0 ? call->history_rows : call->query_rows, at_row = number < 0 ? rows + number : number;
    if (to == NULL) continue;
    to += (((int64_t)b->batch * at->heads + b->head + head) * rows + at_row) * at->head_dim;
    for (int c = 0; c < at->head_dim; c++) to[c] = d_q[row * b->head_width + c] * at->scale;
  }
}

/*
 * What a head does alone backward, while its maps are in the cache: stages of a chain from number `n` to the first, as
 * long as it needs no other head; the normaliser after those of the weights, the gradient of q after those of the
 * scores.
 */
NOINLINE void adjoin_alone(const struct backward *b, const struct chain *chain, int n, int head) {
  for (;;) {
#if WITH_STAGES
    for (; n >= 0 && keeps_to_heads(&chain->stages[n]); n--)
      adjoin_head_stage(
          b, &chain->stages[n], chain->maps[n], chain->gradients[n + 1], chain->gradients[n], head);
#endif
    if (n >= 0) return;
    if (chain == &b->scores) break;
    normalizer_adjoint(b, head);
    if (b->wanted->d_bias != NULL) return;
    chain = &b->scores;
    n = chain->count - 1;
  }
  write_query_gradients(b, head);
}

#if WITH_STAGES
/* A chain backward, from where each head alone came to. */
static void adjoin_chain(const struct backward *b, const struct chain *chain) {
  for (int n = chain->count - 1; n >= 0; n--) {
    if (keeps_to_heads(&chain->stages[n])) continue;
    meet(b);
    adjoin_stage(b, &chain->stages[n], chain->maps[n], chain->gradients[n + 1], chain->gradients[n]);
    if (n > 0 && !keeps_to_heads(&chain->stages[n - 1])) continue;
    meet(b);
    EACH_TASK(b, head, b->call->attention->group) adjoin_alone(b, chain, n - 1, head);
  }
}
#endif

/* One strip of rows. */
static void backward_strip(struct backward *b) {
  const struct attention *at = b->call->attention;
  const struct band *weights = b->weights.maps[b->weights.count];
  const struct band *d_weights = b->weights.gradients[b->weights.count], *d_raw = b->scores.gradients[0];
  look_back(b);
  move_rows(b);
  meet(b);
  compute_maps(b);
  EACH_TASK(b, head, at->group) {
    adjoin_output(b, head);
    float *dense = b->o + (int64_t)head * at->strip * b->value_width;
    const float *d_o = b->d_o + (int64_t)head * at->strip * b->value_width;
    /* o is not needed any more. The product wants rows without gaps. */
    for (int row = 0; row < at->strip; row++)
      for (int c = 0; c < at->value_dim; c++) dense[row * at->value_dim + c] = d_o[row * b->value_width + c];
    multiply_keys(b, dense, b->packed_v, at->value_dim, d_weights, head);
    settle_head(b, d_weights, head);
    for (int row = 0; row < at->strip; row++)
      read_query(
          b, head, first_row_of(b, d_raw) + row, b->own_q + ((int64_t)head * at->strip + row) * b->head_width,
          b->head_width);
    adjoin_alone(b, &b->weights, b->weights.count - 1, head);
  }
#if WITH_STAGES
  adjoin_chain(b, &b->weights);
#endif
#if WITH_BIAS
  if (b->wanted->d_bias != NULL) {
    meet(b);
    add_bias_gradients(b);
    meet(b);
    EACH_TASK(b, head, at->group) adjoin_alone(b, &b->scores, b->scores.count - 1, head);
  }
#endif
#if WITH_STAGES
  adjoin_chain(b, &b->scores);
#endif
  meet(b);
  add_key_gradients(b, weights, b->d_o, &b->d_v);
  add_key_gradients(b, d_raw, b->own_q, &b->d_k);
  meet(b);
}

#if WITH_STAGES
/* Weights of all stages, turned as the adjoints want them: a part's share of the heads. */
static void turn_weights(const struct backward *b) {
  const struct call *call = b->call;
  const struct attention *at = call->attention;
  float *to = b->turned;
  for (int n = 0; n < at->score_stages + at->weight_stages; n++) {
    const struct stage *stage = &call->stages[n];
    if (stage->kind != STAGE_CONV && stage->kind != STAGE_MIX) continue;
    const int kernel = stage->kind == STAGE_CONV ? stage->taps_query * stage->taps_key : 1;
    const float *weights = call->parameters + stage->weight_at;
    const int64_t each = (int64_t)stage->heads * kernel;
    const int heads = stage->shared ? stage->heads : at->heads;
    EACH_TASK(b, head, heads)
      for (int64_t at_weight = head * each; at_weight < (head + 1) * each; at_weight++) {
        const int tap = (int)(at_weight % kernel), c = (int)(at_weight / kernel % stage->heads);
        /* A mix's weight of output o and input n changes places with that of output n and input o. */
        const int64_t other = stage->kind == STAGE_MIX
            ? ((int64_t)(head / stage->heads * stage->heads + c) * stage->heads + head % stage->heads)
            : at_weight - tap + kernel - 1 - tap;
        to[at_weight] = weights[other];
      }
    to += (int64_t)at->heads * each;
  }
}
#endif

/* K and V of a batch entry in panels, gradients of both at 0. */
static void begin_entry(struct backward *b) {
  const struct call *call = b->call;
  const struct attention *at = call->attention;
  const int panels = (call->key_rows + PANEL - 1) / PANEL;
  EACH_TASK(b, task, at->kv_heads * panels) {
    const int kv_head = task / panels, key = task % panels * PANEL;
    float *k = b->packed_k + (int64_t)task * at->head_dim * PANEL;
    float *v = b->packed_v + (int64_t)task * at->value_dim * PANEL;
    pack_rows(call, &call->k, at->head_dim, b->batch, kv_head, key, k);
    pack_rows(call, &call->v, at->value_dim, b->batch, kv_head, key, v);
    b->faulty_k[task] = !all_finite(k, PANEL, at->head_dim, PANEL);
    b->faulty_v[task] = !all_finite(v, PANEL, at->value_dim, PANEL);
  }
  begin_key_sums(b, &b->d_k);
  begin_key_sums(b, &b->d_v);
  meet(b);
}

/* All rows of a group of heads. */
static void backward_group(struct backward *b) {
  const struct attention *at = b->call->attention;
  EACH_TASK(b, task, b->band_count * at->group) {
    const struct band *band = &b->bands[task / at->group];
    zero(
        band_row(b, band, task % at->group, 0) - b->pad, (size_t)(at->strip + band->keep) * (size_t)b->pitch);
  }
  for (int n = 0; n < b->band_count; n++) {
    struct band *band = &b->bands[n];
    band->begin = band->end = band->kept_begin = band->kept_end = 0;
  }
  meet(b);
  b->row = b->call->query_rows + b->most_lead;
  do {
    b->row -= at->strip;
    backward_strip(b);
  } while (b->row > -b->call->history_rows);
}

/* A part's share of a backward pass. */
static void backward_part(
    const struct call *call, const struct gradients *wanted, const struct together *together, unsigned char *workspace,
    int part) {
  struct backward b = {.together = together};
  lay_out_backward(&b, call, wanted, part, together->parts, workspace);
  const int64_t shares = (int64_t)b.tasks * wanted->parameters;
  if (part == 0)
    for (int64_t n = 0; n < shares; n++) b.shares[n] = 0;
  for (int n = 0; n < wanted->parameters; n++) b.output_sums[n] = 0;
#if WITH_STAGES
  turn_weights(&b);
#endif
#if WITH_BIAS
  if (wanted->d_bias != NULL) clear_bias_gradient(&b);
#endif
  meet(&b);
  for (b.batch = 0; b.batch < call->batches; b.batch++) {
    begin_entry(&b);
    for (b.head = 0; b.head < call->attention->heads; b.head += call->attention->group) backward_group(&b);
    end_key_sums(&b, &b.d_k);
    end_key_sums(&b, &b.d_v);
    meet(&b);
  }
  if (wanted->d_parameters == NULL || part != 0) return;
  for (int n = 0; n < wanted->parameters; n++) {
    double sum = 0;
    for (int task = 0; task < b.tasks; task++) sum += b.shares[(int64_t)task * wanted->parameters + n];
    wanted->d_parameters[n] = (float)sum;
  }
}

#endif
