import { spawnSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { findCompilers, withFolder, writeEmitted } from "./c-programs.ts";

// The CMake fragment of the processor's library.

const cmake = spawnSync("cmake", ["--version"]).status === 0;
if (!cmake) console.warn("\n*** NO EMITTED CMAKE FRAGMENT IS BUILT: there is no cmake ***\n");
const available = cmake && findCompilers().length > 0;

/** Runs CMake in a folder; gives what it says. */
function runCmake(folder: string, ...options: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync("cmake", options, { cwd: folder, encoding: "utf8" });
  expect(status, stdout + stderr).toBe(0);
  return stdout;
}

describe.skipIf(!available)("the CMake fragment for the processor", () => {
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
      runCmake(folder, "-B", "build", "-DCMAKE_C_FLAGS=-Wall -Wextra -Werror");
      runCmake(folder, "--build", "build");
      for (const program of ["in_cpp", "in_c"]) {
        const file = path.join(folder, "build", program);
        expect(existsSync(file)).toBe(true);
        expect(spawnSync(file).status).toBe(0);
      }
    });
  });
});
