/* Pieces of the workspace, and how far stages reach. */
#ifndef MTAC_WORKSPACE_H
#define MTAC_WORKSPACE_H

#include "attention.h"

/* Stages of one section, scores or weights, and the most that a spec has of both. */
#define MOST_STAGES 64

INLINE int future_of(const struct stage *stage) {
  return (stage->taps_query - 1 - stage->origin_query) * stage->dilation_query;
}

INLINE int halo_of(const struct stage *stage) { return (stage->taps_query - 1) * stage->dilation_query; }

/* Rows that stages [from, to) read ahead, or ahead and back. */
INLINE int future_rows(const struct stage *stages, int from, int to) {
  int rows = 0;
  for (int n = from; n < to; n++)
    if (stages[n].kind == STAGE_CONV) rows += future_of(&stages[n]);
  return rows;
}

INLINE int all_rows(const struct stage *stages, int to) {
  int rows = 0;
  for (int n = 0; n < to; n++)
    if (stages[n].kind == STAGE_CONV) rows += halo_of(&stages[n]);
  return rows;
}

/* A build that looks for faults puts something between the pieces of the workspace (test/sanitize). */
#ifndef SET_APART
#define SET_APART(workspace, used) ((void)0)
#endif

/*
 * Takes `count` things of `size` bytes from the workspace, each vector-aligned; only counts where there is none. Counts
 * have 64 bits where addresses have 32, too: what is too much must be seen to be so.
 */
INLINE void *take(unsigned char **workspace, uint64_t *used, uint64_t count, size_t size) {
  void *taken = *workspace ? *workspace + (size_t)*used : NULL;
  *used += (count * size + 63) / 64 * 64;
  SET_APART(*workspace, *used);
  return taken;
}

INLINE void zero(float *to, size_t count) {
  size_t n = 0;
  for (; n + LANES <= count; n += LANES) store(to + n, broadcast(0));
  for (; n < count; n++) to[n] = 0;
}

INLINE void copy(float *to, const float *from, int count) {
  for (int n = 0; n < count; n += LANES) store(to + n, load(from + n));
}

#endif
