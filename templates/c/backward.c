/* The library of gradients, which is compiled when the first of them is asked for: every attention, described by words. */
#include "backward.h"
#include "gradient-entry.h"
#include "team.h"

#define EXPORT __attribute__((visibility("default")))

EXPORT int mtac_backward_workspace_bytes(const int64_t *words, int parts, int64_t *bytes);
EXPORT int mtac_backward(const int64_t *words, uint64_t workspace, int parts);

/* Bytes of workspace, aligned to 64, that a backward pass in so many parts needs. */
int mtac_backward_workspace_bytes(const int64_t *words, int parts, int64_t *bytes) {
  const struct call call = call_of(words);
  const struct gradients wanted = gradients_of(words);
  struct backward backward;
  *bytes = (int64_t)lay_out_backward(&backward, &call, &wanted, 0, parts, NULL);
  return 0;
}

struct backward_work {
  const struct call *call;
  const struct gradients *wanted;
  unsigned char *workspace;
};

static void wait_for_team(void *team) { meet_team(team); }

static void work_backward(struct team *team, int part) {
  const struct backward_work *work = team->context;
  const struct together together = {team->parts, wait_for_team, team};
  backward_part(work->call, work->wanted, &together, work->workspace, part);
}

/* Computes gradients in at most `parts` parts, each on a thread of its own. */
int mtac_backward(const int64_t *words, uint64_t workspace, int parts) {
  const struct call call = call_of(words);
  const struct gradients wanted = gradients_of(words);
  const struct backward_work work = {&call, &wanted, (unsigned char *)(uintptr_t)workspace};
  run_team(work_backward, &work, parts);
  return 0;
}
