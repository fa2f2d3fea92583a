/* A whole call: its memory, how it is shared out, and what each part does. */
#ifndef MTAC_FORWARD_H
#define MTAC_FORWARD_H

#include "strip.h"

/* Fewer rows than this are not worth that K is packed beforehand: each of few strips packs what it needs. */
enum { PACKED_ROWS = 32 };

INLINE int packs(const struct call *call) { return call->query_rows >= PACKED_ROWS; }

INLINE const struct stage *channel_gate(const struct call *call) {
  const struct attention *at = call->attention;
  for (int n = 0; n < at->output_stages; n++) {
    const struct stage *stage = &call->stages[at->score_stages + at->weight_stages + n];
    if (stage->kind == STAGE_GATE && stage->variant) return stage;
  }
  return NULL;
}

/* Floats that all parts share: packed K, then the transposed weights of a gate by channels. */
INLINE size_t packed_bytes(const struct call *call) {
  if (!packs(call)) return 0;
  return (packed_floats(call->attention, call->batches, call->key_rows) * 4 + 63) / 64 * 64;
}

INLINE size_t gate_bytes(const struct call *call) {
  const struct attention *at = call->attention;
  return channel_gate(call) ? ((size_t)at->value_dim * (size_t)round_up(at->value_dim, LANES) * 4 + 63) / 64 * 64 : 0;
}

/* Bytes of memory that a call in so many parts needs, aligned to 64. */
static size_t workspace_bytes(const struct call *call, int parts) {
  struct worker worker;
  return packed_bytes(call) + gate_bytes(call) + (size_t)parts * lay_out(&worker, call, NULL);
}

/* What a row costs, in keys. */
INLINE int64_t work_of(const struct call *call, int row) {
  const struct attention *at = call->attention;
  /* What it costs beside its keys: the product's start, norm, gate. */
  const int OVERHEAD = 32;
  int64_t keys = call->key_rows;
  if (at->causal) keys = least(call->key_rows, call->key_rows - call->query_rows + row + 1);
  if (at->window) {
    const int64_t width = (int64_t)at->window * (at->causal ? 1 : 2);
    keys = keys < width ? keys : width;
  }
  return keys + OVERHEAD;
}

/* A place in the sequence of all rows of all groups of heads of all batch entries. */
struct place {
  int item;
  int row;
};

/* Where part `part` of `parts` begins: parts cost about the same, and none of them begins inside of a tile of rows. */
static struct place place_of(const struct call *call, int part, int parts) {
  const struct attention *at = call->attention;
  const int items = call->batches * (at->heads / at->group);
  if (part >= parts) return (struct place){items, 0};
  int64_t each = 0, before = 0;
  for (int row = 0; row < call->query_rows; row++) each += work_of(call, row);
  const int64_t wanted = (int64_t)((double)each * items * part / parts);
  struct place place = {(int)(wanted / each), 0};
  const int64_t rest = wanted - place.item * each;
  for (; place.row < call->query_rows && before < rest; place.row++) before += work_of(call, place.row);
  place.row = (place.row + 2 * ROWS) / (4 * ROWS) * (4 * ROWS);
  return place.row < call->query_rows ? place : (struct place){place.item + 1, 0};
}

/* What has to be there before anything is computed: a share of K, packed. */
static void prepare_part(const struct call *call, unsigned char *workspace, int part, int parts) {
  const struct attention *at = call->attention;
  if (packs(call)) {
    const int panels = (call->key_rows + PANEL - 1) / PANEL;
    const int64_t all = (int64_t)call->batches * at->kv_heads * panels;
    for (int64_t n = all * part / parts; n < all * (part + 1) / parts; n++) {
      const int head = (int)(n / panels);
      pack_panel(
          call, head / at->kv_heads, head % at->kv_heads, (int)(n % panels) * PANEL, (float *)workspace + n * at->head_dim * PANEL);
    }
  }
  const struct stage *gate = channel_gate(call);
  if (gate && part == 0) {
    const int channels = at->value_dim, width = round_up(channels, LANES);
    float *to = (float *)(workspace + packed_bytes(call));
    const float *weights = call->parameters + gate->weight_at;
    for (int d = 0; d < channels; d++)
      for (int c = 0; c < width; c++) to[d * width + c] = c < channels ? weights[c * channels + d] : 0;
  }
}

/* A part's rows, after all parts are prepared. */
static void compute_part(const struct call *call, unsigned char *workspace, int part, int parts) {
  const struct attention *at = call->attention;
  const int groups = at->heads / at->group;
  struct worker worker;
  const size_t bytes = lay_out(&worker, call, NULL);
  unsigned char *own = workspace + packed_bytes(call) + gate_bytes(call);
  lay_out(&worker, call, own + (size_t)part * bytes);
  worker.packed = packs(call) ? (const float *)workspace : NULL;
  worker.gate_weights = (const float *)(workspace + packed_bytes(call));
  const struct place from = place_of(call, part, parts), to = place_of(call, part + 1, parts);
  for (int item = from.item; item <= to.item && item < call->batches * groups; item++) {
    const int first = item == from.item ? from.row : 0, end = item == to.item ? to.row : call->query_rows;
    if (first < end) compute_rows(&worker, item / groups, item % groups * at->group, first, end);
  }
}

#endif
