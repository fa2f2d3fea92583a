/* Parts of one piece of work, each on a thread of its own, which can wait for each other. */
#ifndef MTAC_TEAM_H
#define MTAC_TEAM_H

#include <pthread.h>

enum { MOST_THREADS = 256 };

struct team {
  /* Parts that there are: none begins before their number is known. */
  int parts;
  void (*work)(struct team *team, int part);
  const void *context;
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  /* Parts that have come to the next meeting, and meetings that are over. */
  int arrived;
  unsigned meetings;
};

struct member {
  struct team *team;
  int part;
};

/* Waits until all parts have come here. */
static void meet_team(struct team *team) {
  if (team->parts == 1) return;
  pthread_mutex_lock(&team->mutex);
  const unsigned meeting = team->meetings;
  team->arrived++;
  if (team->arrived == team->parts) {
    team->arrived = 0;
    team->meetings++;
    pthread_cond_broadcast(&team->changed);
  }
  while (team->meetings == meeting) pthread_cond_wait(&team->changed, &team->mutex);
  pthread_mutex_unlock(&team->mutex);
}

static void *begin_member(void *argument) {
  const struct member *member = argument;
  struct team *team = member->team;
  pthread_mutex_lock(&team->mutex);
  while (team->parts == 0) pthread_cond_wait(&team->changed, &team->mutex);
  pthread_mutex_unlock(&team->mutex);
  team->work(team, member->part);
  return NULL;
}

/* Does work in `parts` parts at most: in fewer, if no more threads can be started. Part 0 is done here. */
static void run_team(void (*work)(struct team *team, int part), const void *context, int parts) {
  struct team team = {.parts = parts == 1, .work = work, .context = context};
  pthread_mutex_init(&team.mutex, NULL);
  pthread_cond_init(&team.changed, NULL);
  struct member members[MOST_THREADS];
  pthread_t threads[MOST_THREADS];
  int started = 1;
  for (; started < parts && started < MOST_THREADS; started++) {
    members[started] = (struct member){&team, started};
    if (pthread_create(&threads[started], NULL, begin_member, &members[started]) != 0) break;
  }
  pthread_mutex_lock(&team.mutex);
  team.parts = started;
  pthread_cond_broadcast(&team.changed);
  pthread_mutex_unlock(&team.mutex);
  work(&team, 0);
  for (int part = 1; part < started; part++) pthread_join(threads[part], NULL);
  pthread_cond_destroy(&team.changed);
  pthread_mutex_destroy(&team.mutex);
}

#endif
