/*
 * The module that computes gradients, which `mtac/runtime/wasm` loads when the first of them is asked for. Threads are
 * the host's.
 */
#include "backward.h"
#include "gradient-entry.h"

#define EXPORT(name) __attribute__((export_name(name)))

EXPORT("workspace_bytes") double mtac_workspace_bytes(const int64_t *words, int parts);
EXPORT("prepare") void mtac_prepare(const int64_t *words, void *workspace, int part, int parts);
EXPORT("compute") void mtac_compute(const int64_t *words, void *workspace, int part, int parts);

/* Where the parts of a pass wait for each other: before the rest of the workspace. */
struct meeting {
  int32_t parts;
  int32_t arrived;
  int32_t meetings;
};

enum { MEETING_BYTES = 64 };

double mtac_workspace_bytes(const int64_t *words, int parts) {
  const struct call call = call_of(words);
  const struct gradients wanted = gradients_of(words);
  struct backward backward;
  return MEETING_BYTES + (double)lay_out_backward(&backward, &call, &wanted, 0, parts, NULL);
}

/* Of all parts, before any of them is computed. */
void mtac_prepare(const int64_t *words, void *workspace, int part, int parts) {
  (void)words;
  if (part == 0) *(struct meeting *)workspace = (struct meeting){.parts = parts};
}

/*
 * Sleeps until it is woken, unless the word has changed. A function of its own: V8's baseline compiler (Node 20's)
 * spills the address of this instruction as 64 bits to a slot of 32, and so over the last local of the function that
 * has it.
 */
NOINLINE void sleep_at(int32_t *word, int32_t expected) { __builtin_wasm_memory_atomic_wait32(word, expected, -1); }

/* Only threads of their own may wait: one part alone has nobody to wait for. */
static void wait_for_others(void *context) {
  struct meeting *meeting = context;
  const int32_t meetings = __atomic_load_n(&meeting->meetings, __ATOMIC_SEQ_CST);
  if (__atomic_add_fetch(&meeting->arrived, 1, __ATOMIC_SEQ_CST) == meeting->parts) {
    __atomic_store_n(&meeting->arrived, 0, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&meeting->meetings, 1, __ATOMIC_SEQ_CST);
    __builtin_wasm_memory_atomic_notify(&meeting->meetings, UINT32_MAX);
    return;
  }
  while (__atomic_load_n(&meeting->meetings, __ATOMIC_SEQ_CST) == meetings) sleep_at(&meeting->meetings, meetings);
}

void mtac_compute(const int64_t *words, void *workspace, int part, int parts) {
  const struct call call = call_of(words);
  const struct gradients wanted = gradients_of(words);
  const struct together together = {parts, wait_for_others, workspace};
  backward_part(&call, &wanted, &together, (unsigned char *)workspace + MEETING_BYTES, part);
}
