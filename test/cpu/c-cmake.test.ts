import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { configure, findMtac, hasCmake, runCmake, SPEC } from "../support/cmake.ts";
import { withFolder } from "../support/folder.ts";
import { findCompilers, writeEmitted } from "./c-programs.ts";

// The CMake fragment of the processor's library, and `mtac_add_kernels` for it.

if (!hasCmake) console.warn("\n*** NO EMITTED CMAKE FRAGMENT IS BUILT: there is no cmake ***\n");
const compilers = hasCmake ? findCompilers() : [];

/** Runs CMake in a folder, where it has to succeed. */
function make(folder: string, ...options: readonly string[]): void {
  const { status, output } = runCmake(folder, options);
  expect(status, output).toBe(0);
}

/** The same with the gradients of one. */
const TRAINING = `#include "first.h"
int main(void) { return first_backward(0, 0, 0, 0, 1) == FIRST_ERROR_NULL_POINTER ? 0 : 1; }
`;

/** A program that fails unless both attentions of SPEC are in it. */
const PROGRAM = `#include "first.h"
#include "second.h"
int main(void) {
  second_call call = {0};
  if (first_launch(0, 0, 0, 1) != FIRST_ERROR_NULL_POINTER) return 1;
  return second_workspace_bytes(&call, 1) + SECOND_HEADS == 2 ? 0 : 2;
}
`;

describe.skipIf(compilers.length === 0)("the CMake fragment for the processor", () => {
  test("makes a library that C and C++ programs of a project link to, included twice", async () => {
    await withFolder(async (folder) => {
      writeEmitted(
        folder,
        "attention small { heads 2 head_dim 16 dtype f32 mask causal scores { conv 2x3 } }",
      );
      writeFileSync(
        path.join(folder, "main.cpp"),
        '#include "small.h"\nint main() { small_call call = {}; return small_workspace_bytes(&call, 1) + SMALL_HEADS == 2 ? 0 : 1; }\n',
      );
      writeFileSync(path.join(folder, "main.c"), "int small(void);\nint main(void) { return small(); }\n");
      writeFileSync(
        path.join(folder, "other.c"),
        '#include "small.h"\nint small(void) { return small_launch(0, 0, 0, 1) != SMALL_ERROR_NULL_POINTER; }\n',
      );
      writeFileSync(
        path.join(folder, "CMakeLists.txt"),
        `cmake_minimum_required(VERSION 3.18)
project(user LANGUAGES CXX)
include(small.cmake)
include(small.cmake)
add_executable(in_cpp main.cpp)
target_link_libraries(in_cpp PRIVATE mtac_small)
add_executable(in_c main.c other.c)
target_link_libraries(in_c PRIVATE mtac_small)
`,
      );
      make(folder, "-B", "build", "-DCMAKE_C_FLAGS=-Wall -Wextra -Werror");
      make(folder, "--build", "build");
      for (const program of ["in_cpp", "in_c"]) {
        const file = path.join(folder, "build", program);
        expect(existsSync(file)).toBe(true);
        expect(spawnSync(file).status).toBe(0);
      }
    });
  });
});

describe.skipIf(compilers.length === 0)("mtac_add_kernels for the processor", () => {
  test.each(compilers)(
    "puts C into programs, libraries and new targets, without CUDA: $c",
    async ({ c, cpp }) => {
      await withFolder(async (folder) => {
        writeFileSync(path.join(folder, "main.c"), PROGRAM);
        writeFileSync(path.join(folder, "training.c"), TRAINING);
        const head = `project(user LANGUAGES CXX)\n${findMtac("cpu")}`;
        const { status, output } = configure(
          folder,
          head,
          `add_executable(program main.c)
mtac_add_kernels(program specs.mta TARGET cpu)
mtac_add_kernels(kernels specs.mta TARGET cpu NAMES first second LENGTH 256)
add_executable(linked main.c)
target_link_libraries(linked PRIVATE kernels)
add_executable(training training.c)
mtac_add_kernels(training specs.mta TARGET cpu NAMES first GRAD)`,
          [
            `-DCMAKE_C_COMPILER=${c}`,
            `-DCMAKE_CXX_COMPILER=${cpp}`,
            "-DCMAKE_BUILD_TYPE=Debug",
            "-DCMAKE_C_FLAGS=-Wall -Wextra -Werror",
            "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON",
          ],
        );
        expect(status, output).toBe(0);
        make(folder, "--build", "build");
        for (const program of ["program", "linked", "training"])
          expect(spawnSync(path.join(folder, "build", program)).status).toBe(0);
        // Debug builds, too, optimize what mtac wrote, and nothing else.
        const commands = readFileSync(path.join(folder, "build/compile_commands.json"), "utf8").split("\n");
        const optimized = commands.filter((line) => line.includes('"command"') && line.includes("-O3"));
        expect(optimized.length).toBe(6);
        expect(optimized.every((line) => /\.mtac\/specs\/(first|second|first_backward)\.c/.test(line))).toBe(
          true,
        );
        expect(existsSync(path.join(folder, "build/kernels.mtac/specs/first.ts"))).toBe(false);
        // What changes is compiled again by the build.
        writeFileSync(path.join(folder, "specs.mta"), SPEC.replace("head_dim 16", "head_dim 24"));
        make(folder, "--build", "build", "--target", "kernels");
        const header = readFileSync(path.join(folder, "build/kernels.mtac/specs/second.h"), "utf8");
        expect(header).toContain("SECOND_HEAD_DIM 24");
      });
    },
    120_000,
  );

  test.each([
    ["a target that the project did not ask for", "cpu", "", /found mtac for cpu only[\s\S]*TARGET\s+cpu/],
    ["gradients where there are none", "cuda", "GRAD", /GRAD\s+is the processor's/],
    ["an architecture", "cpu", "TARGET cpu ARCHITECTURES 80", /ARCHITECTURES are CUDA's/],
    ["another target", "cpu", "TARGET gpu", /COMPONENTS\s+gpu/],
    ["an unknown component", "gpu", "TARGET cpu", /mtac has no\s+component gpu/],
  ])("stops at %s", async (_what, component, options, message) => {
    await withFolder(async (folder) => {
      const head = `project(user LANGUAGES C)\n${findMtac(component)}`;
      const { status, output } = configure(folder, head, `mtac_add_kernels(kernels specs.mta ${options})`);
      expect(status).not.toBe(0);
      expect(output).toMatch(message);
    });
  });
});
