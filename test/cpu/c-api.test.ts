import { writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { compileChecked } from "../../compiler/compile/compile.ts";
import { analyse } from "../../compiler/language/index.ts";
import { findCompilers, run, STRICT, withFolder, writeEmitted } from "./c-programs.ts";

const compilers = findCompilers();

// History, every mask with data, every kind of parameter.
const SPEC = `attention probe {
  heads 4
  kv_heads 2
  head_dim 32
  dtype f16
  mask causal lengths bias documents
  scores { conv 3x5 }
  weights { mix 2 }
  output { norm depth_scale gate scalar }
}
`;

/** Specs that leave out as much as they can, or take the rest: no compiler finds a function that they do not use. */
const OTHERS = `attention bare { heads 1 head_dim 8 dtype f32 mask none }
attention sparse { heads 2 head_dim 16 dtype bf16 mask causal documents normalize sparsemax }
attention mixed { heads 4 head_dim 16 dtype f32 mask causal scores { mix 4; softcap 30; relu } output { gate channel } }
`;

/** Both C and C++: the checks of a call, and what they say. */
const PROGRAM = `
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "probe.h"

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
  static char memory[1 << 20];
  static int integers[64];
  static float floats[PROBE_PARAMETER_COUNT];
  probe_call call;
  memset(&call, 0, sizeof call);
  call.batches = 2;
  call.query_rows = 5;
  call.key_rows = 9;
  call.q = call.k = call.v = memory;
  char results[2 * PROBE_HEADS * 5 * PROBE_VALUE_DIM * 2];
  call.o = results;
  call.parameters = floats;
  call.documents = integers;
  call.lengths = integers;
  call.bias = (const float *)(const void *)memory;

  const size_t needed = probe_workspace_bytes(&call, 2);
  char *workspace = (char *)malloc(needed);
  if (needed == 0) { printf("no workspace\\n"); failures++; }
  if (probe_workspace_bytes(&call, 1) >= needed) { printf("a thread takes no room\\n"); failures++; }
  expect("fits", probe_launch(&call, workspace, needed, 2), 0);
  expect("null call", probe_launch(NULL, workspace, needed, 2), PROBE_ERROR_NULL_POINTER);
  expect("small workspace", probe_launch(&call, workspace, needed - 1, 2), PROBE_ERROR_WORKSPACE);
  expect("more threads than it is for", probe_launch(&call, workspace, needed, 3), PROBE_ERROR_WORKSPACE);
  expect("null workspace", probe_launch(&call, NULL, needed, 2), PROBE_ERROR_WORKSPACE);
  const int wrong[] = {0, -1, 257};
  for (int each = 0; each < 3; each++) {
    refused("threads", probe_launch(&call, workspace, needed, wrong[each]), PROBE_ERROR_SIZE, 16, "threads");
    expect("no workspace for them", (long long)probe_workspace_bytes(&call, wrong[each]), 0);
  }
  if (probe_workspace_bytes(&call, 256) == 0) { printf("256 threads are refused\\n"); failures++; }

  probe_call bad = call;
  bad.batches = 0;
  refused("no batch", probe_launch(&bad, workspace, needed, 2), PROBE_ERROR_SIZE, 1, "batches");
  expect("no workspace for it", (long long)probe_workspace_bytes(&bad, 2), 0);
  bad = call;
  bad.query_rows = 10;
  refused("more rows than keys", probe_launch(&bad, workspace, needed, 2), PROBE_ERROR_SIZE, 2, "query_rows");
  bad = call;
  bad.history_rows = 5;
  bad.q_history = memory;
  refused("history before key 0", probe_launch(&bad, workspace, needed, 2), PROBE_ERROR_SIZE, 4, "history_rows");
  bad.history_rows = 4;
  bad.q_history = NULL;
  refused("history without rows", probe_launch(&bad, workspace, needed, 2), PROBE_ERROR_NULL_POINTER, 6, "q_history");
  bad = call;
  bad.layer = -1;
  refused("layer", probe_launch(&bad, workspace, needed, 2), PROBE_ERROR_SIZE, 14, "layer");
  bad = call;
  bad.documents = NULL;
  refused("no documents", probe_launch(&bad, workspace, needed, 2), PROBE_ERROR_NULL_POINTER, 11, "documents");
  bad = call;
  bad.lengths = NULL;
  refused("no lengths", probe_launch(&bad, workspace, needed, 2), PROBE_ERROR_NULL_POINTER, 12, "lengths");
  bad = call;
  bad.bias = NULL;
  refused("no bias", probe_launch(&bad, workspace, needed, 2), PROBE_ERROR_NULL_POINTER, 13, "bias");
  bad = call;
  bad.parameters = NULL;
  refused("no parameters", probe_launch(&bad, workspace, needed, 2), PROBE_ERROR_NULL_POINTER, 10, "parameters");
  bad = call;
  bad.q = memory + 1;
  refused("odd pointer", probe_launch(&bad, workspace, needed, 2), PROBE_ERROR_ALIGNMENT, 5, "q");
  bad = call;
  bad.batches = 1 << 30;
  expect("too large", probe_launch(&bad, workspace, needed, 2), PROBE_ERROR_TOO_LARGE);

  expect("parameters", PROBE_PARAMETER_COUNT, 4 * 3 * 5 + 2 * 2 * 2 + 32 + 32 + 1);
  expect("mix", PROBE_WEIGHTS_MIX_WEIGHT_AT, 4 * 3 * 5);
  const int alone[] = {0, PROBE_ERROR_NULL_POINTER, PROBE_ERROR_TOO_LARGE, PROBE_ERROR_WORKSPACE};
  for (int each = 0; each < 4; each++) {
    if (strcmp(probe_error_string(alone[each]), "unknown error") == 0) {
      printf("code %d has no text\\n", alone[each]);
      failures++;
    }
  }
  free(workspace);
  return failures;
}
`;

test("beside CUDA's the files have other names; two attentions never share one", () => {
  const filesOf = (source: string): string[] => {
    const { spec } = analyse(source, "spec.mta");
    if (spec === null) throw new Error("the spec is wrong");
    return Object.keys(compileChecked(spec, { targets: ["cuda", "cpu"] }).files);
  };
  const bare = "{ heads 1 head_dim 8 dtype f32 mask none }";
  expect(filesOf(`attention a ${bare}`)).toEqual(
    expect.arrayContaining(["a.h", "a.cu", "a_cpu.h", "a_cpu.c"]),
  );
  expect(() => filesOf(`attention a ${bare}\nattention a_cpu ${bare}`)).toThrow(
    "two attentions have a file a_cpu.h",
  );
});

describe.each(compilers)("the C API of an attention on the processor, by $c and $cpp", ({ c, cpp }) => {
  test("is C and C++, and checks its calls", async () => {
    await withFolder(async (folder) => {
      const options = { cwd: folder };
      writeEmitted(folder, SPEC);
      writeFileSync(path.join(folder, "main.c"), PROGRAM);
      writeFileSync(path.join(folder, "main.cpp"), `#include "probe.h"\n${PROGRAM}`);
      await run(c, ["-std=c11", ...STRICT, "-O0", "-c", "probe.c"], options);
      for (const [compiler, standard, main] of [
        [c, "-std=c11", "main.c"],
        [cpp, "-std=c++17", "main.cpp"],
      ] as const) {
        const link = ["probe.o", "-o", "program", "-pthread", "-lm"];
        await run(compiler, [standard, ...STRICT, main, ...link], options);
        const { stdout } = await run(path.join(folder, "program"), [], options);
        expect(stdout).toBe("");
      }
    });
  });

  test("compiles without a word, whatever a spec has", async () => {
    await withFolder(async (folder) => {
      writeEmitted(folder, OTHERS);
      const fast = ["-O3", "-march=native", "-ffp-contract=fast"];
      for (const [name, flags] of [
        ["bare", ["-O0"]],
        ["sparse", ["-O0"]],
        ["mixed", ["-O0"]],
        ["bare", fast],
      ] as const)
        await run(c, ["-std=c11", ...STRICT, ...flags, "-c", `${name}.c`], { cwd: folder });
      // Their sources share no name with another's: one program may have all of them.
      writeFileSync(
        path.join(folder, "main.c"),
        '#include "bare.h"\n#include "mixed.h"\n#include "sparse.h"\nint main(void) { return bare_launch(0, 0, 0, 1) - mixed_launch(0, 0, 0, 1) + sparse_launch(0, 0, 0, 1) != -1; }\n',
      );
      const objects = ["bare.o", "mixed.o", "sparse.o", "-o", "program", "-pthread", "-lm"];
      await run(c, ["-std=c11", ...STRICT, "main.c", ...objects], { cwd: folder });
      await run(path.join(folder, "program"), [], { cwd: folder });
    });
  });
});
