/*
 * Maps of a backward pass, in bands of rows.
 *
 * A backward pass goes through strips of rows from the last to the first. Each map, of scores, weights or their
 * gradients, is there for the strip's rows and for as many after them as convolutions still read: rows that have been
 * computed are moved on, never computed again. A map that others need rows before of is computed early: it leads.
 */
#ifndef MTAC_BANDS_H
#define MTAC_BANDS_H

#include "workspace.h"

/* One map: [heads of the group][rows][pitch]. */
struct band {
  float *at;
  /* Rows that its newest rows lie before the strip's own. */
  int lead;
  /* Rows after the newest that are kept. */
  int keep;
  /* Columns of the newest rows, whole panels; those that older rows in the same place had. */
  int begin;
  int end;
  int used_begin;
  int used_end;
  /* Columns outside of which the rows after the newest are 0. */
  int kept_begin;
  int kept_end;
};

/* Stages of one section and the maps around them: map n is the input of stage n. */
struct chain {
  const struct stage *stages;
  int count;
  struct band *maps[MOST_STAGES + 1];
  struct band *gradients[MOST_STAGES + 1];
};

INLINE int past_of(const struct stage *stage) {
  return stage->kind == STAGE_CONV ? stage->origin_query * stage->dilation_query : 0;
}

INLINE int ahead_of(const struct stage *stage) { return stage->kind == STAGE_CONV ? future_of(stage) : 0; }

/* Columns left or right of its keys that a map needs, so that convolutions read zeros there. */
static int border_of(const struct call *call) {
  const struct attention *at = call->attention;
  int border = 0;
  for (int n = 0; n < at->score_stages + at->weight_stages; n++)
    if (call->stages[n].kind == STAGE_CONV)
      border = most(border, (call->stages[n].taps_key - 1) * call->stages[n].dilation_key);
  return round_up(border, LANES) + LANES;
}

/* Where a map ends that leads by `lead` and whose last `keep` rows are still read. */
INLINE void keep_rows(struct band *band, int rows) { band->keep = most(band->keep, rows); }

/*
 * What the maps of a section lead by and keep. A gradient's rows are made from those of the next gradient, the stage's
 * past rows after them and its future rows before them; a map's rows from the rows around them of the map before. The
 * gradient of a stage's parameters meets both, at the gradient's rows.
 */
static void place_chain(struct chain *chain, int gradient_lead, int map_lead) {
  for (int n = 0; n < chain->count; n++) {
    chain->gradients[n]->lead = gradient_lead;
    gradient_lead += ahead_of(&chain->stages[n]);
  }
  chain->gradients[chain->count]->lead = gradient_lead;
  chain->maps[chain->count]->lead = map_lead;
  for (int n = chain->count - 1; n >= 0; n--) {
    const struct stage *stage = &chain->stages[n];
    struct band *map = chain->maps[n];
    map_lead += past_of(stage);
    map->lead = map_lead;
    keep_rows(map, past_of(stage) + ahead_of(stage));
    keep_rows(map, map_lead - chain->gradients[n + 1]->lead + ahead_of(stage));
    keep_rows(chain->gradients[n + 1], past_of(stage) + ahead_of(stage));
  }
}

#endif
