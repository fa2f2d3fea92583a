/* Gradients, compiled when the first of them is asked for: the library of every attention, described by words. */
#include "gradient-entry.h"
#include "gradient-threads.h"

#define EXPORT __attribute__((visibility("default")))

EXPORT int mtac_backward_workspace_bytes(const int64_t *words, int parts, int64_t *bytes);
EXPORT int mtac_backward(const int64_t *words, uint64_t workspace, int parts);

int mtac_backward_workspace_bytes(const int64_t *words, int parts, int64_t *bytes) {
  const struct call call = call_of(words);
  const struct gradients wanted = gradients_of(words);
  *bytes = (int64_t)backward_bytes(&call, &wanted, parts);
  return 0;
}

int mtac_backward(const int64_t *words, uint64_t workspace, int parts) {
  const struct call call = call_of(words);
  const struct gradients wanted = gradients_of(words);
  compute_gradients(&call, &wanted, (unsigned char *)(uintptr_t)workspace, parts);
  return 0;
}
