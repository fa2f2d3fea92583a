/* What an attention computes, and one call of it. */
#ifndef MTAC_ATTENTION_H
#define MTAC_ATTENTION_H

#include "parts.h"
#include "storage.h"

enum stage_kind { STAGE_CONV = 0, STAGE_MIX = 1, STAGE_SOFTCAP = 2, STAGE_RELU = 3, STAGE_NORM = 4, STAGE_GATE = 5 };
#if WITH_DROPOUT
enum { STAGE_DROPOUT = 6 };
#endif
enum normalizer { NORMALIZE_SOFTMAX = 0, NORMALIZE_SPARSEMAX = 1 };

/* A stage of the spec. All fields are words of 32 bits, so that programs in other languages can fill it. */
struct stage {
  int32_t kind;
  /* Where weight and bias lie in the array of parameters; a bias at -1 is none. */
  int32_t weight_at;
  int32_t bias_at;
  /* conv: Y[h, i, j] = bias[h] + sum over c, a, b of W[h, c, a, b] S[first + c, i + (a - origin_query)
     dilation_query, j + (b - origin_key) dilation_key], where `first` is the first of the `heads` heads that h is
     read together with. */
  int32_t taps_query;
  int32_t taps_key;
  int32_t origin_query;
  int32_t origin_key;
  int32_t dilation_query;
  int32_t dilation_key;
  /* conv: 1 where the kernels of one group of heads serve all groups. */
  int32_t shared;
  /* conv: heads that are read together. mix: heads of a group, Y[o] = sum over n of W[group, o, n] S[first + n]. */
  int32_t heads;
  /* gate: 1 for a gate a channel, 0 for one a row. norm: 1 where the call's depth scale applies. */
  int32_t variant;
  /* softcap: X of X tanh(s / X). norm: what is added to the mean square. */
  float value;
#if WITH_DROPOUT
  /* dropout: words below it, unsigned, drop their entry. `value` is what the others are multiplied with. */
  int32_t dropped_below;
#endif
};

/* What a spec fixes, and how its work is cut. Words of 32 bits, too. */
struct attention {
  int32_t heads;
  int32_t kv_heads;
  int32_t head_dim;
  int32_t value_dim;
  float scale;
  int32_t storage;
  int32_t normalizer;
  /* The mask's terms: 1 where it has the term; window's size, 0 for none. */
  int32_t causal;
  int32_t window;
  int32_t documents;
  int32_t lengths;
  int32_t bias;
  /* The stages: those of `scores`, then those of `weights`, then those of `output`. */
  int32_t score_stages;
  int32_t weight_stages;
  int32_t output_stages;
  /* Heads that are computed together: neighbours that mixes and convolutions join. */
  int32_t group;
  /* Rows of a strip, a multiple of ROWS, and keys of a block, a multiple of PANEL. */
  int32_t strip;
  int32_t block;
};

/* One call. */
struct call {
  const struct attention *attention;
  const struct stage *stages;
  const float *parameters;
  int batches;
  int query_rows;
  int key_rows;
  int history_rows;
  struct tensor q;
  struct tensor q_history;
  struct tensor k;
  struct tensor v;
  struct tensor bias;
  struct tensor o;
  const int32_t *documents;
  const int32_t *lengths;
  const int32_t *positions;
  float *lse;
#if WITH_DROPOUT
  /* Two words; null drops nothing. */
  const int32_t *dropout_seed;
  /* What dropout counts the call's heads from: it may compute some of an attention's. */
  int first_head;
#endif
#if WITH_OUTPUT
  /*
   * f32 [batches, heads, query_rows, value_dim], what the stages of `output` are given: the forward pass keeps it here
   * for the backward pass, which else computes it again. Null: not kept.
   */
  float *values;
#endif
  float depth_scale;
};

/* Maps of several heads: where row 0 and the first column lie, floats between two heads and between two rows. */
struct maps {
  float *at;
  int64_t head_pitch;
  ptrdiff_t pitch;
};

/* Rows that the kernels compute at a time, at least. */
#define ROWS 4

/*
 * How many rows (or heads) and vectors a kernel keeps in registers: as many accumulators as the processor has registers
 * for, beside the operands. 32 registers with AVX-512 and on ARM; 16 otherwise.
 */
#if LANES == 16
enum { SCORE_ROWS = 8, SCORE_VECTORS = 2, MIX_HEADS = 8, MIX_VECTORS = 2, VALUE_ROWS = 4, VALUE_VECTORS = 6 };
#elif LANES == 8
enum { SCORE_ROWS = 4, SCORE_VECTORS = 2, MIX_HEADS = 4, MIX_VECTORS = 2, VALUE_ROWS = 4, VALUE_VECTORS = 3 };
#else
enum { SCORE_ROWS = 2, SCORE_VECTORS = 4, MIX_HEADS = 2, MIX_VECTORS = 4, VALUE_ROWS = 2, VALUE_VECTORS = 4 };
#endif
#if LANES == 8
#define CONV_ROWS 8
#else
#define CONV_ROWS 16
#endif

/* Keys that lie together in packed K. */
enum { PANEL = SCORE_VECTORS * LANES };

#endif
