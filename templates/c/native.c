/* The library that `mtac/runtime/cpu` compiles once and loads: every attention, described by words. */
#include "entry.h"
#include "threads.h"

#define EXPORT __attribute__((visibility("default")))

EXPORT int mtac_lanes(void);
EXPORT int mtac_workspace_bytes(const int64_t *words, int parts, int64_t *bytes);
EXPORT int mtac_forward(const int64_t *words, uint64_t workspace, int parts);

/* Floats of a vector. */
int mtac_lanes(void) { return LANES; }

/* Bytes of workspace, aligned to 64, that a call in so many parts needs. */
int mtac_workspace_bytes(const int64_t *words, int parts, int64_t *bytes) {
  const struct call call = call_of(words);
  *bytes = (int64_t)workspace_bytes(&call, parts);
  return 0;
}

/* Computes a call in `parts` parts, each on a thread of its own. */
int mtac_forward(const int64_t *words, uint64_t workspace, int parts) {
  const struct call call = call_of(words);
  compute(&call, (unsigned char *)(uintptr_t)workspace, parts);
  return 0;
}
