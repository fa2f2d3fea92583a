/* The module that `mtac/runtime/wasm` loads: every attention, described by words. Threads are the host's. */
#include "entry.h"
#include "forward.h"

#define EXPORT(name) __attribute__((export_name(name)))

EXPORT("workspace_bytes") double mtac_workspace_bytes(const int64_t *words, int parts);
EXPORT("prepare") void mtac_prepare(const int64_t *words, void *workspace, int part, int parts);
EXPORT("compute") void mtac_compute(const int64_t *words, void *workspace, int part, int parts);

double mtac_workspace_bytes(const int64_t *words, int parts) {
  const struct call call = call_of(words);
  return (double)workspace_bytes(&call, parts);
}

/* A part's share of what all parts need before any of them is computed. */
void mtac_prepare(const int64_t *words, void *workspace, int part, int parts) {
  const struct call call = call_of(words);
  prepare_part(&call, workspace, part, parts);
}

void mtac_compute(const int64_t *words, void *workspace, int part, int parts) {
  const struct call call = call_of(words);
  compute_part(&call, workspace, part, parts);
}
