/* Stages on bands of rows: forward, and their adjoints. */
#ifndef MTAC_ADJOINT_H
#define MTAC_ADJOINT_H

#include "backward-memory.h"
#include "correlate.h"
#include "drop.h"
#include "mix.h"
#include "scores.h"
#include "softmax.h"
#include "values.h"
#if WITH_CONV
#include "conv.h"
#endif

#if WITH_CONV
/* A convolution's kernel for output head `head` of the group and the `c`-th head of those that it is read with. */
INLINE int64_t kernel_at(const struct backward *b, const struct stage *stage, int head, int c) {
  const int which = stage->shared ? head % stage->heads : b->head + head;
  return ((int64_t)which * stage->heads + c) * stage->taps_query * stage->taps_key;
}

/*
 * Rows [row, end) of `band` that share a document, as they stand to the map `other`: rows of `other` from another
 * document count as 0. Returns a copy of the rows that a convolution with `reach` rows reads, at column `from` -
 * `border`.
 */
static const float *rows_of_document(
    const struct backward *b, const struct band *band, const struct band *other, int head, int row, int end, int reach,
    int from, int columns) {
  const int document = sight_at(b, first_row_of(b, band) + row).document;
  for (int n = row; n < end + reach; n++) {
    float *to = b->scratch + (int64_t)(n - row) * b->pitch;
    if (sight_at(b, first_row_of(b, other) + n).document == document)
      copy(to, band_row(b, other, head, n) + from - b->pad, columns + 2 * b->pad);
    else fill(to, 0, columns + 2 * b->pad);
  }
  return b->scratch + b->pad;
}

/* The end of the run of rows of one document that begins with `row`; of all rows where there are no documents. */
static int document_end(const struct backward *b, const struct band *band, int row) {
  const int rows = b->call->attention->strip, first = first_row_of(b, band);
  int end = row + 1;
  if (!b->call->attention->documents) return rows;
  while (end < rows && sight_at(b, first + end).document == sight_at(b, first + row).document) end++;
  return end;
}

/* One input head's part of a convolution from `in` to `out`, whose newest rows begin `origin_query` taps after in's. */
NOINLINE void convolve_band(
    const struct backward *b, const struct stage *stage, const float *weights, float bias, int adds,
    const struct band *in, int in_head, const struct band *out, int out_head) {
  const int reach = halo_of(stage);
  for (int row = 0, end; row < b->call->attention->strip; row = end) {
    end = document_end(b, out, row);
    /* A few rows at a time see fewer keys than all do. */
    if (stage->dilation_query == 1) end = least(end, row + CONV_ROWS);
    const int columns = seen_columns(b, out, row, end);
    if (columns <= 0) continue;
    const float *from = b->call->attention->documents
        ? rows_of_document(b, out, in, in_head, row, end, reach, out->begin, columns)
        : band_row(b, in, in_head, row) + out->begin;
    conv_head(
        stage, weights, bias, adds, from, b->pitch, band_row(b, out, out_head, row) + out->begin, b->pitch, end - row,
        columns);
  }
}

/* A convolution forward, for one output head. */
static void convolve_forward(
    const struct backward *b, const struct stage *stage, const struct band *in, const struct band *out, int head) {
  const int first = head / stage->heads * stage->heads;
  const int which = stage->shared ? head % stage->heads : b->head + head;
  const float bias = stage->bias_at < 0 ? 0 : b->call->parameters[stage->bias_at + which];
  for (int c = 0; c < stage->heads; c++)
    convolve_band(
        b, stage, b->call->parameters + stage->weight_at + kernel_at(b, stage, head, c), bias, c > 0, in, first + c,
        out, head);
}

/* Its adjoint, for one input head: the kernels of all output heads that it served, turned. */
static void convolve_adjoint(
    const struct backward *b, const struct stage *stage, const float *turned, const struct band *in,
    const struct band *out, int head) {
  const int first = head / stage->heads * stage->heads;
  struct stage adjoint = *stage;
  adjoint.origin_query = stage->taps_query - 1 - stage->origin_query;
  adjoint.origin_key = stage->taps_key - 1 - stage->origin_key;
  for (int c = 0; c < stage->heads; c++) {
    const float *kernel = turned + kernel_at(b, stage, first + c, head - first);
    convolve_band(b, &adjoint, kernel, 0, c > 0, in, first + c, out, head);
  }
}

/* The gradients of the kernels and the bias of one output head. */
static void convolve_weights(
    const struct backward *b, const struct stage *stage, const struct band *in, const struct band *gradient, int head,
    double *share) {
  const int first = head / stage->heads * stage->heads, kernel = stage->taps_query * stage->taps_key;
  const int which = stage->shared ? head % stage->heads : b->head + head;
  const int columns = gradient->end - gradient->begin, reach = halo_of(stage);
  const int rows = b->call->attention->strip;
  /* Where the input has the rows that tap 0 of the gradient's first row reads. */
  const int offset = first_row_of(b, gradient) - past_of(stage) - first_row_of(b, in);
  for (int c = 0; c < stage->heads; c++) {
    for (int n = 0; n < kernel; n++) b->sums[n] = broadcast(0);
    struct band shifted = *in;
    shifted.lead = in->lead - offset;
    for (int row = 0, end; row < rows; row = end) {
      end = document_end(b, gradient, row);
      const float *from = band_row(b, in, first + c, offset + row) + gradient->begin;
      if (b->call->attention->documents) {
        shifted.at = in->at + (int64_t)offset * b->pitch;
        from = rows_of_document(b, gradient, &shifted, first + c, row, end, reach, gradient->begin, columns);
      }
      const struct correlation maps = {
          .gradient = band_row(b, gradient, head, row) + gradient->begin,
          .gradient_pitch = b->pitch,
          .input = from - stage->origin_key * stage->dilation_key,
          .input_pitch = b->pitch,
          .rows = end - row,
          .columns = columns,
          .spans = spans_at(b, first_row_of(b, gradient) + row),
          .first_column = gradient->begin,
      };
      correlate(stage, &maps, b->sums);
    }
    double *to = share + stage->weight_at + kernel_at(b, stage, head, c);
    for (int n = 0; n < kernel; n++) to[n] += (double)sum_of(b->sums[n]);
  }
  if (stage->bias_at < 0) return;
  vec sum = broadcast(0);
  for (int row = 0; row < rows; row++) {
    const float *from = band_row(b, gradient, head, row);
    for (int key = gradient->begin; key < gradient->end; key += LANES) sum += load(from + key);
  }
  share[stage->bias_at + which] += (double)sum_of(sum);
}
#endif

#if WITH_MIX
/* Row `row` of a mix of all heads: out = weights in; `out` may be `in`. */
static void mix_row(
    const struct backward *b, const struct stage *stage, const float *weights, const struct band *in,
    const struct band *out, int row) {
  const int group = b->call->attention->group, columns = round_up(seen_columns(b, out, row, row + 1), PANEL);
  for (int head = 0; head < group; head += stage->heads) {
    const float *matrix = weights + (int64_t)(b->head + head) * stage->heads;
    struct maps from = {band_row(b, in, head, row) + out->begin, head_pitch(b, in), b->pitch};
    struct maps to = {band_row(b, out, head, row) + out->begin, head_pitch(b, out), b->pitch};
    if (in != out) {
      mix_group(matrix, stage->heads, from, to, 1, columns);
      continue;
    }
    /* In place by way of a few columns, which stay in the first cache. */
    for (int done = 0, some; done < columns; done += some) {
      const struct maps between = {b->row_maps, MIX_COLUMNS, MIX_COLUMNS};
      some = least(MIX_COLUMNS, columns - done);
      mix_group(matrix, stage->heads, from, between, 1, some);
      for (int n = 0; n < stage->heads; n++) copy(to.at + n * to.head_pitch, between.at + n * MIX_COLUMNS, some);
      from.at += some;
      to.at += some;
    }
  }
}

/* What rows [row, end) add to the gradient of a mix's weights. */
static void mix_weights(
    const struct backward *b, const struct stage *stage, const struct band *in, const struct band *gradient, int row,
    int end, double *share) {
  const int offset = first_row_of(b, gradient) - first_row_of(b, in), size = stage->heads * stage->heads;
  for (int head = 0; head < b->call->attention->group; head += stage->heads) {
    for (int n = 0; n < size; n++) b->sums[n] = broadcast(0);
    for (int r = row; r < end; r++)
      multiply_group(
          band_row(b, gradient, head, r) + gradient->begin, head_pitch(b, gradient),
          band_row(b, in, head, offset + r) + gradient->begin, head_pitch(b, in), stage->heads,
          seen_columns(b, gradient, r, r + 1), b->sums);
    double *to = share + stage->weight_at + (int64_t)(b->head + head) * stage->heads;
    for (int n = 0; n < size; n++) to[n] += (double)sum_of(b->sums[n]);
  }
}
#endif

#if WITH_DROPOUT
/* Dropout of one head, or of the gradient that passes back to it, in place. */
static void drop_head(
    const struct backward *b, const struct stage *stage, const struct band *in, const struct band *out, int head) {
  struct maps from = newest(b, in, out->begin), to = newest(b, out, out->begin);
  from.at += head * from.head_pitch;
  to.at += head * to.head_pitch;
  drop_entries(
      b->call, stage, b->batch, b->head + head, first_row_of(b, out), out->begin, from, to, b->call->attention->strip,
      out->end - out->begin);
}
#endif

#if WITH_CHANGES
/* Softcap or relu, of one head. */
static void change_head(
    const struct backward *b, const struct stage *stage, const struct band *in, const struct band *out, int head) {
  struct maps from = newest(b, in, out->begin), to = newest(b, out, out->begin);
  from.at += head * from.head_pitch;
  to.at += head * to.head_pitch;
  change_entries(stage, from, to, 1, b->call->attention->strip, out->end - out->begin);
}

/* The gradient of softcap or relu, in place: times the derivative at the stage's input. */
static void change_adjoint(
    const struct backward *b, const struct stage *stage, const struct band *in, const struct band *gradient, int head) {
  const int offset = first_row_of(b, gradient) - first_row_of(b, in);
  for (int row = 0; row < b->call->attention->strip; row++) {
    const float *x = band_row(b, in, head, offset + row);
    float *d = band_row(b, gradient, head, row);
    for (int key = gradient->begin; key < gradient->end; key += LANES) {
      vec slope;
      if (stage->kind == STAGE_SOFTCAP) {
        const vec y = hyperbolic_tangent(load(x + key) * (1 / stage->value));
        slope = 1.f - y * y;
      } else slope = choose(load(x + key) > 0.f, broadcast(1), broadcast(0));
      store(d + key, load(d + key) * slope);
    }
  }
}
#endif

/*
 * out[m] += sum over n of weights[m weight_pitch + n weight_step] values[n], for values that are not all finite: 0
 * times NaN would be NaN, and what is hidden has the weight 0.
 */
static void add_faulty(
    const float *weights, ptrdiff_t weight_pitch, ptrdiff_t weight_step, const float *values, int64_t value_pitch,
    float *out, int channels, int rows, int count) {
  for (int m = 0; m < rows; m++)
    for (int n = 0; n < count; n++) {
      const float weight = weights[m * weight_pitch + n * weight_step];
      if (weight == 0) continue;
      float *to = out + (int64_t)m * channels;
      for (int c = 0; c < channels; c += LANES)
        store(to + c, multiply_add(broadcast(weight), load(values + n * value_pitch + c), load(to + c)));
    }
}

/*
 * out[n] += sum over rows of weights[row][n] values[row], for ROWS keys n: weights turned. The next rows of `out` come
 * in meanwhile.
 */
NOINLINE void add_transposed(
    const float *weights, ptrdiff_t weight_pitch, const float *values, int64_t value_pitch, float *out, int channels,
    int rows) {
  for (int n = 0; n < ROWS * channels; n += 16) PREFETCH(out + ROWS * channels + n);
  add_weighted(weights, 1, weight_pitch, values, value_pitch, out, channels, ROWS, rows, values);
}

#endif
