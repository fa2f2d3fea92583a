/* The library that `mtac/runtime/cpu` compiles once and loads: every attention, described by words. */
#include "entry.h"
#include "threads.h"

#define EXPORT __attribute__((visibility("default")))

EXPORT int mtac_lanes(void);
EXPORT double mtac_workspace_bytes(const int64_t *words, int parts);
EXPORT void mtac_forward(const int64_t *words, void *workspace, int parts);

/* Floats of a vector. */
int mtac_lanes(void) { return LANES; }

/* Bytes of workspace, aligned to 64, that a call in so many parts needs. */
double mtac_workspace_bytes(const int64_t *words, int parts) {
  const struct call call = call_of(words);
  return (double)workspace_bytes(&call, parts);
}

/* Computes a call in `parts` parts, each on a thread of its own. */
void mtac_forward(const int64_t *words, void *workspace, int parts) {
  const struct call call = call_of(words);
  compute(&call, workspace, parts);
}
