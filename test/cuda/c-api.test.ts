import { writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { compileChecked } from "../../compiler/compile/compile.ts";
import { analyse } from "../../compiler/language/index.ts";
import { findNvcc } from "./harness.ts";
import { run, toolkit, withFolder } from "./nvcc.ts";

const nvcc = await findNvcc();

// Two architectures whose plans differ, history, every mask, every kind of parameter.
const SPEC = `attention probe {
  heads 4
  kv_heads 2
  head_dim 32
  dtype f16
  mask causal lengths bias
  scores { conv 3x5 }
  weights { mix 2 }
  output { norm depth_scale gate scalar }
}
`;

/** C11, so that the header is shown to be C. The checks need no device; a launch without one reports CUDA's own error. */
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
  /* Never read: the checks look at addresses only. */
  void *memory = aligned_alloc(256, 256);
  probe_call call;
  memset(&call, 0, sizeof call);
  call.batches = 2;
  call.query_rows = 5;
  call.key_rows = 9;
  call.q = call.k = call.v = memory;
  call.o = memory;
  call.parameters = memory;
  call.lengths = memory;
  call.bias = memory;

  size_t needed = probe_workspace_bytes(&call);
  if (needed == 0) { printf("no workspace\\n"); failures++; }
  call.lse = memory;
  if (probe_workspace_bytes(&call) >= needed) { printf("lse takes no room\\n"); failures++; }

  expect("null call", probe_launch(NULL, NULL, 0, NULL), PROBE_ERROR_NULL_POINTER);
  expect("small workspace", probe_launch(&call, memory, 1, NULL), PROBE_ERROR_WORKSPACE);
  expect("null workspace", probe_launch(&call, NULL, needed, NULL), PROBE_ERROR_WORKSPACE);

  probe_call bad = call;
  bad.batches = 0;
  refused("no batch", probe_launch(&bad, memory, needed, NULL), PROBE_ERROR_SIZE, 1, "batches");
  expect("no workspace for it", (long long)probe_workspace_bytes(&bad), 0);
  bad = call;
  bad.query_rows = 10;
  refused("more rows than keys", probe_launch(&bad, memory, needed, NULL), PROBE_ERROR_SIZE, 2, "query_rows");
  bad = call;
  bad.history_rows = 5;
  bad.q_history = memory;
  refused("history before key 0", probe_launch(&bad, memory, needed, NULL), PROBE_ERROR_SIZE, 4, "history_rows");
  bad.history_rows = 4;
  bad.q_history = NULL;
  refused("history without rows", probe_launch(&bad, memory, needed, NULL), PROBE_ERROR_NULL_POINTER, 6, "q_history");
  bad = call;
  bad.layer = -1;
  refused("layer", probe_launch(&bad, memory, needed, NULL), PROBE_ERROR_SIZE, 14, "layer");
  bad = call;
  bad.lengths = NULL;
  refused("no lengths", probe_launch(&bad, memory, needed, NULL), PROBE_ERROR_NULL_POINTER, 12, "lengths");
  bad = call;
  bad.k_strides.row = 33;
  refused("odd stride", probe_launch(&bad, memory, needed, NULL), PROBE_ERROR_ALIGNMENT, 7, "k");
  bad = call;
  bad.q = (const char *)memory + 2;
  refused("odd pointer", probe_launch(&bad, memory, needed, NULL), PROBE_ERROR_ALIGNMENT, 5, "q");
  bad = call;
  bad.batches = 1 << 30;
  expect("too large", probe_launch(&bad, memory, needed, NULL), PROBE_ERROR_TOO_LARGE);

  expect("parameters", PROBE_PARAMETER_COUNT, 4 * 3 * 5 + 2 * 2 * 2 + 32 + 32 + 1);
  expect("mix", PROBE_WEIGHTS_MIX_WEIGHT_AT, 4 * 3 * 5);
  bad = call;
  bad.bias = NULL;
  refused("no bias", probe_launch(&bad, memory, needed, NULL), PROBE_ERROR_NULL_POINTER, 13, "bias");
  refused("odd workspace", probe_launch(&call, (char *)memory + 8, needed, NULL), PROBE_ERROR_ALIGNMENT, 15, "workspace");
  expect("kind of a code of CUDA's", PROBE_ERROR_KIND(700), 0);
  expect("field of a code of CUDA's", PROBE_ERROR_FIELD(700), 0);
  const int alone[] = {0, PROBE_ERROR_NULL_POINTER, PROBE_ERROR_TOO_LARGE, PROBE_ERROR_WORKSPACE, PROBE_ERROR_DEVICE};
  for (int each = 0; each < 5; each++) {
    const int code = alone[each];
    if (strcmp(probe_error_string(code), "unknown error") == 0) { printf("code %d has no text\\n", code); failures++; }
  }
  /* Memory of the host is no device memory: where there is a device, nothing is launched on it here. */
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess) {
    void *workspace = aligned_alloc(256, (needed + 255) / 256 * 256);
    int error = probe_launch(&call, workspace, needed, NULL);
    if (error <= 0) { printf("launched without a device: %d\\n", error); failures++; }
    printf("without a device: %s\\n", probe_error_string(error));
  }
  return failures;
}
`;

describe.skipIf(nvcc === null)("the C API of a compiled attention", () => {
  test("compiles without warnings as C and C++, links, and checks its calls", async () => {
    const { spec } = analyse(SPEC, "probe.mta");
    if (spec === null) throw new Error("the spec is wrong");
    const architectures = ["sm_80", "sm_90a"];
    const { files, cuda } = compileChecked(spec, { targets: ["cuda"], architectures });
    await withFolder(async (folder) => {
      for (const [name, text] of Object.entries(files)) writeFileSync(path.join(folder, name), text);
      writeFileSync(path.join(folder, "main.c"), PROGRAM);
      writeFileSync(path.join(folder, "header.cpp"), '#include "probe.h"\n#include "probe.h"\n');
      const options = { cwd: folder, maxBuffer: 2 ** 24 };
      const top = await toolkit();
      const include = `-I${path.join(top, "include")}`;
      const sources = Object.keys(cuda[0]?.sources ?? {});
      const strict = ["-Werror", "all-warnings", "-Xcompiler", "-Wall,-Wextra,-Werror"];
      const codes = architectures.flatMap((name) => [
        "-gencode",
        `arch=${name.replace("sm", "compute")},code=${name}`,
      ]);
      await Promise.all(
        sources.map((file) =>
          run("nvcc", ["-std=c++17", "-c", ...strict, ...codes, file, "-o", `${file}.o`], options),
        ),
      );
      const warnings = ["-Wall", "-Wextra", "-Werror"];
      await run(
        "gcc",
        ["-std=c11", ...warnings, "-isystem", path.join(top, "include"), "-c", "main.c", "-o", "main.o"],
        options,
      );
      await run("g++", ["-std=c++17", ...warnings, include, "-c", "header.cpp", "-o", "header.o"], options);
      const libraries = [`-L${path.join(top, "lib64")}`, "-lcudart_static", "-ldl", "-lrt", "-lpthread"];
      await run(
        "g++",
        ["main.o", ...sources.map((file) => `${file}.o`), "-o", "probe", ...libraries],
        options,
      );
      const { stdout } = await run(path.join(folder, "probe"), [], options);
      expect(stdout).toMatch(/^(without a device: .+\n)?$/);
    });
  }, 300_000);
});
