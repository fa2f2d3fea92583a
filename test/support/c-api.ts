// What the C APIs of all targets refuse, as a program in C that also is C++: targets add what they alone have.

/** An attention with history, masks with data, every kind of parameter. @param masks More of them. */
export function probeSpec(masks: string): string {
  return `attention probe {
  heads 4
  kv_heads 2
  head_dim 32
  dtype f16
  mask causal lengths bias ${masks}
  scores { conv 3x5 }
  weights { mix 2 }
  output { norm depth_scale gate scalar }
}
`;
}

/** What only a target knows. */
export interface ApiProgram {
  /** The last arguments of the function that launches, and of the one that tells the workspace: `, 2` for example. */
  readonly launchTail: string;
  readonly bytesTail: string;
  /** Points `call` at memory, and declares `memory`, for tensors, and `workspace`. */
  readonly memory: string;
  /** Further checks, with `needed` bytes of workspace and `bad`, a call to spoil. */
  readonly checks: string;
  /** Codes that stand alone beside those that every target has. */
  readonly codes: readonly string[];
}

/** A program that prints what is wrong with the library of `probeSpec`. */
export function apiProgram({ launchTail, bytesTail, memory, checks, codes }: ApiProgram): string {
  const alone = ["0", "PROBE_ERROR_NULL_POINTER", "PROBE_ERROR_TOO_LARGE", "PROBE_ERROR_WORKSPACE", ...codes];
  return `
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "probe.h"

#define LAUNCH(call) probe_launch(call, workspace, needed${launchTail})
#define BYTES(call) probe_workspace_bytes(call${bytesTail})

static int failures = 0;

static void expect(const char *what, long long got, long long wanted) {
  if (got == wanted) return;
  printf("%s: %lld, expected %lld\\n", what, got, wanted);
  failures++;
}

/* A code of one field: its kind, its number, its name in words. */
static void refused(const char *what, int code, int kind, int number, const char *field) {
  char start[32];
  expect(what, code, kind - 100 * number);
  expect(what, PROBE_ERROR_KIND(code), kind);
  expect(what, PROBE_ERROR_FIELD(code), number);
  snprintf(start, sizeof start, "%s ", field);
  if (strncmp(probe_error_string(code), start, strlen(start)) != 0) {
    printf("%s: %s\\n", what, probe_error_string(code));
    failures++;
  }
}

int main(void) {
  probe_call call;
  memset(&call, 0, sizeof call);
  call.batches = 2;
  call.query_rows = 5;
  call.key_rows = 9;
${memory}
  const size_t needed = BYTES(&call);
  if (needed == 0) { printf("no workspace\\n"); failures++; }
  expect("null call", LAUNCH(NULL), PROBE_ERROR_NULL_POINTER);
  expect("small workspace", probe_launch(&call, workspace, needed - 1${launchTail}), PROBE_ERROR_WORKSPACE);
  expect("null workspace", probe_launch(&call, NULL, needed${launchTail}), PROBE_ERROR_WORKSPACE);

  probe_call bad = call;
  bad.batches = 0;
  refused("no batch", LAUNCH(&bad), PROBE_ERROR_SIZE, 1, "batches");
  expect("no workspace for it", (long long)BYTES(&bad), 0);
  bad = call;
  bad.query_rows = 10;
  refused("more rows than keys", LAUNCH(&bad), PROBE_ERROR_SIZE, 2, "query_rows");
  bad = call;
  bad.history_rows = 5;
  bad.q_history = memory;
  refused("history before key 0", LAUNCH(&bad), PROBE_ERROR_SIZE, 4, "history_rows");
  bad.history_rows = 4;
  bad.q_history = NULL;
  refused("history without rows", LAUNCH(&bad), PROBE_ERROR_NULL_POINTER, 6, "q_history");
  bad = call;
  bad.layer = -1;
  refused("layer", LAUNCH(&bad), PROBE_ERROR_SIZE, 14, "layer");
  bad = call;
  bad.lengths = NULL;
  refused("no lengths", LAUNCH(&bad), PROBE_ERROR_NULL_POINTER, 12, "lengths");
  bad = call;
  bad.bias = NULL;
  refused("no bias", LAUNCH(&bad), PROBE_ERROR_NULL_POINTER, 13, "bias");
  bad = call;
  bad.parameters = NULL;
  refused("no parameters", LAUNCH(&bad), PROBE_ERROR_NULL_POINTER, 10, "parameters");
  bad = call;
  bad.q = (const char *)memory + 1;
  refused("odd pointer", LAUNCH(&bad), PROBE_ERROR_ALIGNMENT, 5, "q");
  bad = call;
  bad.batches = 1 << 30;
  expect("too large", LAUNCH(&bad), PROBE_ERROR_TOO_LARGE);
  bad = call;
${checks}
  expect("parameters", PROBE_PARAMETER_COUNT, 4 * 3 * 5 + 2 * 2 * 2 + 32 + 32 + 1);
  expect("mix", PROBE_WEIGHTS_MIX_WEIGHT_AT, 4 * 3 * 5);
  const int alone[] = {${alone.join(", ")}};
  for (int each = 0; each < ${alone.length}; each++) {
    if (strcmp(probe_error_string(alone[each]), "unknown error") == 0) {
      printf("code %d has no text\\n", alone[each]);
      failures++;
    }
  }
  return failures;
}
`;
}
