/* A call in parts, on threads of their own. */
#ifndef MTAC_THREADS_H
#define MTAC_THREADS_H

#include "forward.h"
#include "team.h"

struct forward_work {
  const struct call *call;
  unsigned char *workspace;
};

static void forward_part(struct team *team, int part) {
  const struct forward_work *work = team->context;
  prepare_part(work->call, work->workspace, part, team->parts);
  meet_team(team);
  compute_part(work->call, work->workspace, part, team->parts);
}

/* Computes a call; bits do not depend on the number of parts. */
static void compute(const struct call *call, unsigned char *workspace, int parts) {
  const struct forward_work work = {call, workspace};
  run_team(forward_part, &work, parts);
}

#endif
