/*
 * Computes one call of the C library in memory that a sanitizer watches: each tensor lies in an allocation of its own, as
 * large as the tensor, and the pieces of the workspace lie apart. What comes in: the number of memories, the addresses of
 * the call's words, whether gradients are wanted, the number of parts; then for each memory the address that it has in the
 * words, its size, its bytes. What goes out: the bytes of each memory after the call.
 */
#include <stdio.h>
#include <stdlib.h>

#ifdef WATCHED
#include <sanitizer/asan_interface.h>

enum { GAP = 64 };
/* Nobody may touch what lies between two pieces. */
#define SET_APART(workspace, used) \
  do { \
    if (workspace) ASAN_POISON_MEMORY_REGION((workspace) + (used), GAP); \
    (used) += GAP; \
  } while (0)
#endif

#include "../../templates/c/native.c"

#include "../../templates/c/backward.c"

enum { MOST_MEMORIES = 64 };

struct memory {
  int64_t address;
  int64_t size;
  unsigned char *bytes;
};

static struct memory memories[MOST_MEMORIES];
static int64_t count;

static int64_t read_word(void) {
  int64_t word;
  if (fread(&word, sizeof word, 1, stdin) != 1) exit(3);
  return word;
}

/* The place that an address of the caller's stands for. */
static void *place_of_address(int64_t address) {
  for (int n = 0; n < count; n++) {
    const int64_t offset = address - memories[n].address;
    if (offset >= 0 && offset <= memories[n].size) return memories[n].bytes + offset;
  }
  return NULL;
}

enum { WORDS = CALL_WORDS + GRADIENT_WORDS };

/* Words as they lie in a memory. What is as large as an address (no size or stride is) becomes a place in this program. */
static void read_words(int64_t at, int64_t *words) {
  const int64_t *given = place_of_address(at);
  for (int n = 0; n < WORDS; n++)
    words[n] = given[n] < FIRST_ADDRESS ? given[n] : (int64_t)(uintptr_t)place_of_address(given[n]);
}

int main(void) {
  count = read_word();
  const int64_t words_at = read_word(), gradients = read_word();
  const int parts = (int)read_word();
  if (count > MOST_MEMORIES) return 3;
  for (int n = 0; n < count; n++) {
    memories[n].address = read_word();
    memories[n].size = read_word();
    memories[n].bytes = malloc((size_t)memories[n].size);
    if (fread(memories[n].bytes, 1, (size_t)memories[n].size, stdin) != (size_t)memories[n].size) return 3;
  }
  int64_t words[WORDS], bytes;
  read_words(words_at, words);
  if (gradients) mtac_backward_workspace_bytes(words, parts, &bytes);
  else mtac_workspace_bytes(words, parts, &bytes);
  unsigned char *workspace = aligned_alloc(64, (size_t)bytes);
  /* Whoever reads what nobody wrote has NaN. */
  for (int64_t n = 0; n < bytes; n++) workspace[n] = 0xff;
  if (gradients) mtac_backward(words, (uintptr_t)workspace, parts);
  else mtac_forward(words, (uintptr_t)workspace, parts);
#ifdef WATCHED
  ASAN_UNPOISON_MEMORY_REGION(workspace, (size_t)bytes);
#endif
  free(workspace);
  for (int n = 0; n < count; n++) {
    fwrite(memories[n].bytes, 1, (size_t)memories[n].size, stdout);
    free(memories[n].bytes);
  }
  return 0;
}
