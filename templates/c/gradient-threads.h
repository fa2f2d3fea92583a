/* A backward pass in parts, on threads of their own. */
#ifndef MTAC_GRADIENT_THREADS_H
#define MTAC_GRADIENT_THREADS_H

#include "backward.h"
#include "team.h"

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

/* Bytes of workspace, aligned to 64, that a backward pass in so many parts needs. */
static uint64_t backward_bytes(const struct call *call, const struct gradients *wanted, int parts) {
  struct backward backward;
  return lay_out_backward(&backward, call, wanted, 0, parts, NULL);
}

/* Computes gradients in at most `parts` parts; bits do not depend on their number. */
static void compute_gradients(
    const struct call *call, const struct gradients *wanted, unsigned char *workspace, int parts) {
  const struct backward_work work = {call, wanted, workspace};
  run_team(work_backward, &work, parts);
}

#endif
