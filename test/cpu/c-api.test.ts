import { writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { compileChecked } from "../../compiler/compile/compile.ts";
import { analyse } from "../../compiler/language/index.ts";
import { apiProgram, probeSpec } from "../support/c-api.ts";
import { withFolder } from "../support/folder.ts";
import { findCompilers, run, STRICT, writeEmitted } from "./c-programs.ts";

const compilers = findCompilers();

const SPEC = probeSpec("documents");

/** Specs that leave out as much as they can, or take the rest: no compiler finds a function that they do not use. */
const OTHERS = `attention bare { heads 1 head_dim 8 dtype f32 mask none }
attention sparse { heads 2 head_dim 16 dtype bf16 mask causal documents normalize sparsemax }
attention mixed { heads 4 head_dim 16 dtype f32 mask causal scores { mix 4; softcap 30; relu } output { gate channel } }
attention capped { heads 2 head_dim 16 dtype f16 mask causal scores { softcap 30 } weights { conv 2x3 } }
`;

/** Both C and C++. @param more Checks of it. */
const programWith = (more: string): string =>
  apiProgram({
    launchTail: ", 2",
    bytesTail: ", 2",
    memory: `
  static char memory[1 << 20];
  static char workspace[1 << 20];
  static int integers[64];
  static float floats[PROBE_PARAMETER_COUNT];
  static char results[2 * PROBE_HEADS * 5 * PROBE_VALUE_DIM * 2];
  call.q = call.k = call.v = memory;
  call.o = results;
  call.parameters = floats;
  call.documents = integers;
  call.lengths = integers;
  call.bias = (const float *)(const void *)memory;
`,
    checks: `
  expect("room for it here", needed <= sizeof workspace, 1);
  char *own = (char *)malloc(needed);
  if (probe_workspace_bytes(&call, 1) >= needed) { printf("a thread takes no room\\n"); failures++; }
  expect("fits", probe_launch(&call, own, needed, 2), 0);
  free(own);
  expect("more threads than it is for", probe_launch(&call, workspace, needed, 3), PROBE_ERROR_WORKSPACE);
  const int wrong[] = {0, -1, 257};
  for (int each = 0; each < 3; each++) {
    refused("threads", probe_launch(&call, workspace, needed, wrong[each]), PROBE_ERROR_SIZE, 16, "threads");
    expect("no workspace for them", (long long)probe_workspace_bytes(&call, wrong[each]), 0);
  }
  if (probe_workspace_bytes(&call, 256) == 0) { printf("256 threads are refused\\n"); failures++; }
  bad.documents = NULL;
  refused("no documents", LAUNCH(&bad), PROBE_ERROR_NULL_POINTER, 11, "documents");
${more}`,
    codes: [],
  });

/** What a backward pass refuses, and what it does not need. */
const BACKWARD_CHECKS = `
  call.o = NULL;
  call.lse = NULL;
  probe_gradients gradients;
  memset(&gradients, 0, sizeof gradients);
  gradients.d_o = memory;
  const size_t room = probe_backward_workspace_bytes(&call, &gradients, 2);
  char *space = (char *)malloc(room);
  if (room == 0) { printf("no workspace for gradients\\n"); failures++; }
  if (probe_backward_workspace_bytes(&call, &gradients, 1) >= room) { printf("a thread takes no room\\n"); failures++; }
  expect("none wanted", probe_backward(&call, &gradients, space, room, 2), 0);
  expect("small workspace", probe_backward(&call, &gradients, space, room - 1, 2), PROBE_ERROR_WORKSPACE);
  expect("null workspace", probe_backward(&call, &gradients, NULL, room, 2), PROBE_ERROR_WORKSPACE);
  expect("no call", probe_backward(NULL, &gradients, space, room, 2), PROBE_ERROR_NULL_POINTER);
  expect("no gradients", probe_backward(&call, NULL, space, room, 2), PROBE_ERROR_NULL_POINTER);
  refused("257 threads", probe_backward(&call, &gradients, space, room, 257), PROBE_ERROR_SIZE, 16, "threads");
  gradients.d_o = NULL;
  refused("no d_o", probe_backward(&call, &gradients, space, room, 2), PROBE_ERROR_NULL_POINTER, 17, "d_o");
  expect("no workspace for it", (long long)probe_backward_workspace_bytes(&call, &gradients, 2), 0);
  gradients.d_o = memory + 1;
  refused("odd d_o", probe_backward(&call, &gradients, space, room, 2), PROBE_ERROR_ALIGNMENT, 17, "d_o");
  gradients.d_o = memory;
  bad = call;
  bad.v = NULL;
  refused("no v", probe_backward(&bad, &gradients, space, room, 2), PROBE_ERROR_NULL_POINTER, 8, "v");
  refused("no o", LAUNCH(&call), PROBE_ERROR_NULL_POINTER, 9, "o");
  free(space);
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
  test.each([false, true])("is C and C++, and checks its calls; with gradients: %s", async (grad) => {
    await withFolder(async (folder) => {
      const options = { cwd: folder };
      const program = programWith(grad ? BACKWARD_CHECKS : "");
      writeEmitted(folder, SPEC, grad);
      writeFileSync(path.join(folder, "main.c"), program);
      writeFileSync(path.join(folder, "main.cpp"), `#include "probe.h"\n${program}`);
      const objects = grad ? ["probe.o", "probe_backward.o"] : ["probe.o"];
      for (const object of objects)
        await run(c, ["-std=c11", ...STRICT, "-O0", "-c", object.replace(/o$/, "c")], options);
      for (const [compiler, standard, main] of [
        [c, "-std=c11", "main.c"],
        [cpp, "-std=c++17", "main.cpp"],
      ] as const) {
        const link = [...objects, "-o", "program", "-pthread", "-lm"];
        await run(compiler, [standard, ...STRICT, main, ...link], options);
        const { stdout } = await run(path.join(folder, "program"), [], options);
        expect(stdout).toBe("");
      }
    });
  });

  test("compiles without a word, whatever a spec has", async () => {
    await withFolder(async (folder) => {
      writeEmitted(folder, OTHERS, true);
      const fast = ["-O3", "-march=native", "-ffp-contract=fast"];
      for (const [name, flags] of [
        ["bare", ["-O0"]],
        ["sparse", ["-O0"]],
        ["mixed", ["-O0"]],
        ["bare", fast],
        ["bare_backward", ["-O0"]],
        ["sparse_backward", ["-O0"]],
        ["mixed_backward", ["-O0"]],
        ["capped_backward", ["-O0"]],
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
