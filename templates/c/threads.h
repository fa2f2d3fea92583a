/* Parts of a call on threads of their own. */
#ifndef MTAC_THREADS_H
#define MTAC_THREADS_H

#include <pthread.h>

#include "forward.h"

enum { MOST_THREADS = 256 };

/* What all threads of a call share. */
struct team {
  const struct call *call;
  unsigned char *workspace;
  int parts;
  pthread_mutex_t mutex;
  pthread_cond_t prepared;
  /* Parts that are not prepared yet. */
  int missing;
};

struct member {
  struct team *team;
  int part;
};

static void *work(void *argument) {
  const struct member *member = argument;
  struct team *team = member->team;
  prepare_part(team->call, team->workspace, member->part, team->parts);
  pthread_mutex_lock(&team->mutex);
  team->missing--;
  if (team->missing == 0) pthread_cond_broadcast(&team->prepared);
  while (team->missing > 0) pthread_cond_wait(&team->prepared, &team->mutex);
  pthread_mutex_unlock(&team->mutex);
  compute_part(team->call, team->workspace, member->part, team->parts);
  return NULL;
}

/*
 * Computes a call; bits do not depend on the number of parts. A part whose thread cannot be started is computed here.
 */
static void compute(const struct call *call, unsigned char *workspace, int parts) {
  struct team team = {.call = call, .workspace = workspace, .parts = parts, .missing = parts};
  if (parts == 1) {
    prepare_part(call, workspace, 0, 1);
    compute_part(call, workspace, 0, 1);
    return;
  }
  pthread_mutex_init(&team.mutex, NULL);
  pthread_cond_init(&team.prepared, NULL);
  struct member members[MOST_THREADS];
  pthread_t threads[MOST_THREADS];
  const int most_threads = least(parts, MOST_THREADS);
  int started = 1;
  for (int part = 0; part < most_threads; part++) members[part] = (struct member){&team, part};
  while (started < most_threads && pthread_create(&threads[started], NULL, work, &members[started]) == 0) started++;
  /* Those that have no thread wait for nobody: they are prepared first, and computed last. */
  for (int part = started; part < parts; part++) prepare_part(call, workspace, part, parts);
  pthread_mutex_lock(&team.mutex);
  team.missing -= parts - started;
  pthread_mutex_unlock(&team.mutex);
  work(&members[0]);
  for (int part = started; part < parts; part++) compute_part(call, workspace, part, parts);
  for (int part = 1; part < started; part++) pthread_join(threads[part], NULL);
  pthread_cond_destroy(&team.prepared);
  pthread_mutex_destroy(&team.mutex);
}

#endif
