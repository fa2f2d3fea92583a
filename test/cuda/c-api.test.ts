import { writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { compileChecked } from "../../compiler/compile/compile.ts";
import { analyse } from "../../compiler/language/index.ts";
import { apiProgram, probeSpec } from "../support/c-api.ts";
import { withFolder } from "../support/folder.ts";
import { findNvcc } from "./harness.ts";
import { run, toolkit } from "./nvcc.ts";

const nvcc = await findNvcc();

const SPEC = probeSpec("");

/** C11, so that the header is shown to be C. The checks need no device; a launch without one reports CUDA's own error. */
const PROGRAM = apiProgram({
  launchTail: ", NULL",
  bytesTail: "",
  memory: `
  /* Never read: the checks look at addresses only. */
  void *memory = aligned_alloc(256, 256);
  void *workspace = memory;
  call.q = call.k = call.v = memory;
  call.o = memory;
  call.parameters = memory;
  call.lengths = memory;
  call.bias = memory;
`,
  checks: `
  bad.lse = memory;
  if (BYTES(&bad) >= needed) { printf("lse takes no room\\n"); failures++; }
  bad = call;
  bad.k_strides.row = 33;
  refused("odd stride", LAUNCH(&bad), PROBE_ERROR_ALIGNMENT, 7, "k");
  const int odd = probe_launch(&call, (char *)memory + 8, needed, NULL);
  refused("odd workspace", odd, PROBE_ERROR_ALIGNMENT, 15, "workspace");
  expect("kind of a code of CUDA's", PROBE_ERROR_KIND(700), 0);
  expect("field of a code of CUDA's", PROBE_ERROR_FIELD(700), 0);
  /* Memory of the host is no device memory: where there is a device, nothing is launched on it here. */
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess) {
    void *own = aligned_alloc(256, (needed + 255) / 256 * 256);
    int error = probe_launch(&call, own, needed, NULL);
    if (error <= 0) { printf("launched without a device: %d\\n", error); failures++; }
    printf("without a device: %s\\n", probe_error_string(error));
  }
`,
  codes: ["PROBE_ERROR_DEVICE"],
});

describe.skipIf(nvcc === null)("the C API of a compiled attention", () => {
  test("compiles without warnings as C and C++, links, and checks its calls", async () => {
    const { spec } = analyse(SPEC, "probe.mta");
    if (spec === null) throw new Error("the spec is wrong");
    // Their plans differ.
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
