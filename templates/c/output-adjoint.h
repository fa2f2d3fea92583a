/* Norm and gate backward: a row of the gradient of o, from what comes out of `output` to what goes in. */
#ifndef MTAC_OUTPUT_ADJOINT_H
#define MTAC_OUTPUT_ADJOINT_H

#include "output.h"
#include "workspace.h"

#if WITH_OUTPUT
/* The sum of a[n] b[n]. */
INLINE float dot(const float *a, const float *b, int count) {
  vec sums = broadcast(0);
  int n = 0;
  for (; n + LANES <= count; n += LANES) sums = multiply_add(load(a + n), load(b + n), sums);
  float sum = sum_of(sums);
  for (; n < count; n++) sum += a[n] * b[n];
  return sum;
}

/* The gradient of o / rms(o) weight scale, in place; adds to the weight's. */
static void normalize_adjoint(
    const struct stage *stage, const float *weight, float scale, const float *o, float *gradient, int channels,
    float *d_weight) {
  const float mean = dot(o, o, channels) / (float)channels + stage->value;
  const float inverse = mean == 0 ? 0 : 1 / __builtin_sqrtf(mean);
  vec sums = broadcast(0);
  int c = 0;
  for (; c + LANES <= channels; c += LANES) {
    const vec product = scale * load(o + c) * load(gradient + c);
    store(d_weight + c, multiply_add(product, broadcast(inverse), load(d_weight + c)));
    sums = multiply_add(product, load(weight + c), sums);
  }
  float along = sum_of(sums);
  for (; c < channels; c++) {
    const float product = scale * o[c] * gradient[c];
    d_weight[c] += product * inverse;
    along += product * weight[c];
  }
  const float shrink = along * inverse * inverse * inverse / (float)channels, grow = scale * inverse;
  for (c = 0; c + LANES <= channels; c += LANES)
    store(gradient + c, grow * load(weight + c) * load(gradient + c) - shrink * load(o + c));
  for (; c < channels; c++) gradient[c] = grow * weight[c] * gradient[c] - shrink * o[c];
}

/* The gradient of o sigmoid(o . weight + bias), one gate for the row, in place. */
static void gate_row_adjoint(
    const float *weight, float bias, const float *o, float *gradient, int channels, float *d_weight, float *d_bias) {
  const float open = sigmoid(broadcast(dot(o, weight, channels) + bias))[0];
  const float d_logit = dot(o, gradient, channels) * open * (1 - open);
  *d_bias += d_logit;
  int c = 0;
  for (; c + LANES <= channels; c += LANES) {
    store(d_weight + c, multiply_add(broadcast(d_logit), load(o + c), load(d_weight + c)));
    store(gradient + c, multiply_add(broadcast(d_logit), load(weight + c), load(gradient + c) * open));
  }
  for (; c < channels; c++) {
    d_weight[c] += d_logit * o[c];
    gradient[c] = gradient[c] * open + d_logit * weight[c];
  }
}

/* The same with a gate for each channel; weight [channels, channels]. `logits` holds `channels` floats of scratch. */
static void gate_channels_adjoint(
    const float *weight, const float *bias, const float *o, float *gradient, int channels, float *logits,
    float *d_weight, float *d_bias) {
  for (int d = 0; d < channels; d++) {
    const float open = sigmoid(broadcast(dot(o, weight + d * channels, channels) + bias[d]))[0];
    logits[d] = gradient[d] * o[d] * open * (1 - open);
    d_bias[d] += logits[d];
    gradient[d] *= open;
  }
  for (int d = 0; d < channels; d++)
    for (int c = 0; c < channels; c++) {
      d_weight[d * channels + c] += logits[d] * o[c];
      gradient[c] += logits[d] * weight[d * channels + c];
    }
}

/* Adds sums of some rows to those of all, for the parameters of the stages of the output, and begins anew. */
static void gather_output_sums(const struct call *call, float *sums, double *share) {
  const struct attention *at = call->attention;
  for (int n = 0; n < at->output_stages; n++) {
    const struct stage *stage = &call->stages[at->score_stages + at->weight_stages + n];
    const int gates = stage->kind == STAGE_NORM ? 0 : stage->variant ? at->value_dim : 1;
    const int weights = most(gates, 1) * at->value_dim;
    for (int place = stage->weight_at; place < stage->weight_at + weights; place++) {
      share[place] += (double)sums[place];
      sums[place] = 0;
    }
    for (int place = stage->bias_at; place < stage->bias_at + gates; place++) {
      share[place] += (double)sums[place];
      sums[place] = 0;
    }
  }
}

/* The input of stage `count` of the output, from o of one row: channels beyond `channels` stay 0. */
static void apply_outputs(const struct call *call, int count, float *o, int width) {
  const struct attention *at = call->attention;
  const int channels = at->value_dim;
  float gates[512 + LANES];
  for (int n = 0; n < count; n++) {
    const struct stage *stage = &call->stages[at->score_stages + at->weight_stages + n];
    const float *weight = call->parameters + stage->weight_at, *bias = call->parameters + stage->bias_at;
    if (stage->kind == STAGE_NORM)
      normalize_output(stage, weight, stage->variant ? call->depth_scale : 1, o, channels, width);
    else if (stage->variant) {
      fill(gates, 0, width);
      for (int d = 0; d < channels; d++) gates[d] = dot(o, weight + d * channels, channels);
      gate_channels(bias, gates, o, channels, width);
    } else gate_row(weight, bias[0], o, channels, width);
  }
}

/* The gradient of what comes out of `output` becomes, in place, that of the row of o that goes in. */
static void adjoin_output_row(const struct call *call, const float *o, float *gradient, float *sums) {
  const struct attention *at = call->attention;
  const int channels = at->value_dim, width = round_up(channels, LANES);
  float changed[512 + LANES], logits[512 + LANES];
  for (int n = at->output_stages - 1; n >= 0; n--) {
    const struct stage *stage = &call->stages[at->score_stages + at->weight_stages + n];
    const float *weight = call->parameters + stage->weight_at, *bias = call->parameters + stage->bias_at;
    float *d_weight = sums + stage->weight_at, *d_bias = sums + stage->bias_at;
    const float *input = o;
    if (n > 0) {
      fill(changed, 0, width);
      read_stored(changed, o, 0, channels, STORAGE_F32, 1);
      apply_outputs(call, n, changed, width);
      input = changed;
    }
    if (stage->kind == STAGE_NORM)
      normalize_adjoint(stage, weight, stage->variant ? call->depth_scale : 1, input, gradient, channels, d_weight);
    else if (stage->variant)
      gate_channels_adjoint(weight, bias, input, gradient, channels, logits, d_weight, d_bias);
    else gate_row_adjoint(weight, bias[0], input, gradient, channels, d_weight, d_bias);
  }
}
#endif

#endif
