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

/*
 * What all parts share: packed K; for each panel of V whether it is finite; the transposed weights of a gate by
 * channels.
 */
struct shared {
  float *packed;
  unsigned char *faulty;
  float *gate_weights;
};

/* Lays it out in the workspace and returns its bytes; `workspace` may be null, to count. */
static uint64_t share(const struct call *call, unsigned char *workspace, struct shared *shared) {
  const struct attention *at = call->attention;
  const uint64_t panels = (uint64_t)call->batches * at->kv_heads * ((call->key_rows + PANEL - 1) / PANEL);
  uint64_t used = 0;
  *shared = (struct shared){NULL, NULL, NULL};
  if (packs(call)) {
    shared->packed = take(&workspace, &used, panels * at->head_dim * PANEL, 4);
    shared->faulty = take(&workspace, &used, panels, 1);
  }
  if (channel_gate(call))
    shared->gate_weights = take(&workspace, &used, (uint64_t)at->value_dim * round_up(at->value_dim, LANES), 4);
  return used;
}

/* Columns of a map are counted in 32 bits: what lies around its keys has to fit, too. */
enum { MOST_KEYS = INT32_MAX - (1 << 25) };

/* Bytes of memory that a call in so many parts needs, aligned to 64; more than there can be for too many keys. */
static uint64_t workspace_bytes(const struct call *call, int parts) {
  struct worker worker;
  struct shared shared;
  if (call->key_rows > MOST_KEYS) return INT64_MAX;
  return share(call, NULL, &shared) + (uint64_t)parts * lay_out(&worker, call, NULL);
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
  int64_t item;
  int row;
};

/*
 * Where part `part` of `parts` begins: parts cost about the same, and none of them begins inside of a tile of rows. All
 * parts but the first repeat the rows before their own that convolutions read: the first has that much more to do.
 */
static struct place place_of(const struct call *call, int part, int parts) {
  const struct attention *at = call->attention;
  const int64_t items = (int64_t)call->batches * (at->heads / at->group);
  if (part >= parts) return (struct place){items, 0};
  int64_t each = 0, before = 0;
  for (int row = 0; row < call->query_rows; row++) each += work_of(call, row);
  /* A repeated row costs less than others: no product with V. Where items share out evenly, parts begin with items. */
  const int repeated = items % parts == 0 ? 0 : all_rows(call->stages, at->score_stages + at->weight_stages);
  const double all = (double)each * (double)items;
  double again = part == 0 ? 0 : (double)repeated * (double)work_of(call, call->query_rows / 2);
  if (again > all / parts) again = all / parts;
  const int64_t wanted = (int64_t)((all * part + again * (parts - part)) / parts);
  struct place place = {wanted / each, 0};
  const int64_t rest = wanted - place.item * each;
  for (; place.row < call->query_rows && before < rest; place.row++) before += work_of(call, place.row);
  place.row = (place.row + ROWS / 2) / ROWS * ROWS;
  return place.row < call->query_rows ? place : (struct place){place.item + 1, 0};
}

/* Whether a panel of V is finite. */
static int values_are_finite(const struct call *call, int batch, int kv_head, int first) {
  const struct attention *at = call->attention;
  const int width = round_up(at->value_dim, LANES), keys = least(PANEL, call->key_rows - first);
  if (at->storage == STORAGE_F32 && width == at->value_dim)
    return all_finite(
        (const float *)call->v.data + row_of(&call->v, batch, kv_head, first), call->v.row_stride, keys, width);
  float row[512 + LANES];
  for (int c = at->value_dim; c < width; c++) row[c] = 0;
  for (int key = 0; key < keys; key++) {
    read_stored(row, call->v.data, row_of(&call->v, batch, kv_head, first + key), at->value_dim, at->storage, 1);
    if (!all_finite(row, 0, 1, width)) return 0;
  }
  return 1;
}

/* What has to be there before anything is computed: a share of the panels of K and V. */
static void prepare_part(const struct call *call, unsigned char *workspace, int part, int parts) {
  const struct attention *at = call->attention;
  struct shared shared;
  share(call, workspace, &shared);
  if (shared.packed) {
    const int panels = (call->key_rows + PANEL - 1) / PANEL;
    const int64_t all = (int64_t)call->batches * at->kv_heads * panels;
    for (int64_t n = all * part / parts; n < all * (part + 1) / parts; n++) {
      const int64_t head = n / panels;
      const int batch = (int)(head / at->kv_heads), kv_head = (int)(head % at->kv_heads);
      const int first = (int)(n % panels) * PANEL;
      pack_rows(call, &call->k, at->head_dim, batch, kv_head, first, shared.packed + n * at->head_dim * PANEL);
      shared.faulty[n] = !values_are_finite(call, batch, kv_head, first);
    }
  }
  if (shared.gate_weights && part == 0) {
    const int channels = at->value_dim, width = round_up(channels, LANES);
    const float *weights = call->parameters + channel_gate(call)->weight_at;
    for (int d = 0; d < channels; d++)
      for (int c = 0; c < width; c++) shared.gate_weights[d * width + c] = c < channels ? weights[c * channels + d] : 0;
  }
}

/* A part's rows, after all parts are prepared. */
static void compute_part(const struct call *call, unsigned char *workspace, int part, int parts) {
  const struct attention *at = call->attention;
  const int groups = at->heads / at->group;
  struct worker worker;
  struct shared shared;
  const uint64_t bytes = lay_out(&worker, call, NULL);
  unsigned char *own = workspace + (size_t)share(call, workspace, &shared);
  lay_out(&worker, call, own + (size_t)(part * bytes));
  worker.packed = shared.packed;
  worker.faulty = shared.faulty;
  worker.gate_weights = shared.gate_weights;
  const struct place from = place_of(call, part, parts), to = place_of(call, part + 1, parts);
  for (int64_t item = from.item; item <= to.item && item < (int64_t)call->batches * groups; item++) {
    const int first = item == from.item ? from.row : 0, end = item == to.item ? to.row : call->query_rows;
    if (first < end) compute_rows(&worker, (int)(item / groups), (int)(item % groups) * at->group, first, end);
  }
}

#endif
