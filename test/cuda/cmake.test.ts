import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test, vi } from "vitest";
import { configure, findMtac, hasCmake, PACKAGE, SPEC } from "../support/cmake.ts";
import { withFolder } from "../support/folder.ts";
import { findNvcc } from "./harness.ts";

// `mtac_add_kernels` and the emitted fragment for CUDA; `test/cpu/c-cmake.test.ts` has those for the processor.

const nvcc = await findNvcc();

/** A project without CUDA of its own. */
const HEAD = `project(user LANGUAGES C CXX)\n${findMtac()}`;

describe.skipIf(nvcc === null || !hasCmake)("mtac_add_kernels", () => {
  test("makes a library of chosen attentions, for chosen architectures, that programs link to", async () => {
    await withFolder(async (folder) => {
      writeFileSync(
        path.join(folder, "main.c"),
        '#include "first.h"\n#include "second.h"\nint main(void) { first_call call = {0}; return first_workspace_bytes(&call) + SECOND_HEADS == 2 ? 0 : 1; }\n',
      );
      const { status, output } = configure(
        folder,
        HEAD,
        `mtac_add_kernels(kernels specs.mta NAMES first second ARCHITECTURES 80 90a LENGTH 256)
add_executable(program main.c)
target_link_libraries(program PRIVATE kernels)`,
      );
      expect(status, output).toBe(0);
      const made = path.join(folder, "build/kernels.mtac/specs");
      expect(existsSync(path.join(made, "first.ts"))).toBe(false);
      execFileSync("cmake", ["--build", "build"], { cwd: folder, stdio: "pipe" });
      const flags = readFileSync(path.join(folder, "build/CMakeFiles/kernels.dir/flags.make"), "utf8");
      expect(flags).toContain("sm_80");
      expect(flags).toContain("sm_90a");
      expect(spawnSync(path.join(folder, "build/program")).status).toBe(0);
    });
  }, 300_000);

  test("plans for the project's architectures, and what changes, spec or config, is compiled again by the build", async () => {
    await withFolder(async (folder) => {
      mkdirSync(path.join(folder, "made"));
      const lines = "mtac_add_kernels(kernels specs.mta NAMES second OUTPUT_DIRECTORY ../made)";
      const config = path.join(folder, "mtac.config.mjs");
      writeFileSync(config, 'export default { schedule: "single_pass" };\n');
      const { status, output } = configure(folder, HEAD, lines, ["-DCMAKE_CUDA_ARCHITECTURES=86-real"]);
      expect(status, output).toBe(0);
      const header = (): string => readFileSync(path.join(folder, "made/second.h"), "utf8");
      expect(readFileSync(path.join(folder, "made/second.cmake"), "utf8")).toContain('"86"');
      expect(header()).toContain("SECOND_HEAD_DIM 16");
      writeFileSync(path.join(folder, "specs.mta"), SPEC.replace("head_dim 16", "head_dim 24"));
      execFileSync("cmake", ["--build", "build"], { cwd: folder, stdio: "pipe" });
      expect(header()).toContain("SECOND_HEAD_DIM 24");
      const plan = (): string => readFileSync(path.join(folder, "made/second.cuda.plan.json"), "utf8");
      expect(plan()).toContain('"schedule": "single_pass"');
      writeFileSync(config, 'export default { schedule: "staged" };\n');
      execFileSync("cmake", ["--build", "build"], { cwd: folder, stdio: "pipe" });
      expect(plan()).toContain('"schedule": "staged"');
    });
  }, 300_000);

  test.each([
    ["a spec that is not there", "mtac_add_kernels(kernels nowhere.mta)", /there is\s+no\s+\S*nowhere\.mta/],
    ["a spec with errors", "mtac_add_kernels(kernels broken.mta)", /broken\.mta:1:\d+: error MTA\d+/],
    ["an attention that it does not declare", "mtac_add_kernels(kernels specs.mta NAMES third)", /MTA910/],
    ["a word that it does not know", "mtac_add_kernels(kernels specs.mta other.mta)", /what is other\.mta\?/],
    [
      "no architecture",
      "mtac_add_kernels(kernels specs.mta ARCHITECTURES fast)",
      /write ARCHITECTURES as 80/,
    ],
    [
      "two specs with one attention's name",
      "mtac_add_kernels(kernels specs.mta)\nmtac_add_kernels(kernels copy.mta)",
      /specs\.mta\s+\(cuda\)\s+and\s+\S*copy\.mta\s+\(cuda\)\s+both\s+have\s+an\s+attention first/,
    ],
    [
      "a target that the project did not ask for",
      "mtac_add_kernels(kernels specs.mta TARGET cpu)",
      /found mtac for cuda\s+only[\s\S]*COMPONENTS\s+cpu/,
    ],
    [
      "an architecture too old",
      "mtac_add_kernels(kernels specs.mta ARCHITECTURES 75)",
      /sm_75\s+\(MTA915\)[\s\S]*set\(CMAKE_CUDA_ARCHITECTURES\s+80\)/,
    ],
  ])("stops at %s", async (_what, line, message) => {
    await withFolder(async (folder) => {
      const { status, output } = configure(folder, HEAD, line);
      expect(status).not.toBe(0);
      expect(output).toMatch(message);
    });
  });

  test("takes specs whose names CMake would split, or that have quotes and comments in them", async () => {
    await withFolder(async (folder) => {
      const name = "a;b 'c' \"d\" #e (f).mta";
      writeFileSync(path.join(folder, name), SPEC);
      const { status, output } = configure(
        folder,
        HEAD,
        `mtac_add_kernels(kernels [==[${name}]==] NAMES second)`,
      );
      expect(status, output).toBe(0);
      expect(output).not.toContain("Warning");
      // The build configures again when it changes.
      expect(readFileSync(path.join(folder, "build/CMakeFiles/Makefile.cmake"), "utf8")).toMatch(
        /#e \(f\)\.mta/,
      );
      expect(existsSync(path.join(folder, "build/kernels.mtac/a_b__c___d___e__f_/second.cu"))).toBe(true);
    });
  });
});

/** `project(… LANGUAGES CXX CUDA)`, as most projects have it, lets CMake pick an architecture: 75, 52 with older toolkits. */
describe.skipIf(nvcc === null || !hasCmake)("a project that enables CUDA itself", () => {
  const LANGUAGES = "project(user LANGUAGES C CXX CUDA)";
  /** The two ways to kernels: the package, and the fragment that `mtac compile` writes. */
  const ways = [
    [
      "mtac_add_kernels",
      `${LANGUAGES}\n${findMtac()}`,
      "mtac_add_kernels(kernels specs.mta NAMES second)",
      "kernels",
    ],
    ["the emitted fragment", LANGUAGES, "include(made/second.cmake)", "mtac_second"],
  ] as const;

  function compileFragment(folder: string): void {
    writeFileSync(path.join(folder, "specs.mta"), SPEC);
    const options = ["--target", "cuda", "--no-launcher", "--no-ptxas", "--name", "second", "--out", "made"];
    execFileSync(
      process.execPath,
      [path.join(PACKAGE, "dist/cli/main.js"), "compile", "specs.mta", ...options],
      {
        cwd: folder,
        stdio: "pipe",
      },
    );
  }

  test.each(ways)("gets the plans' architectures from %s", async (_way, head, lines, target) => {
    await withFolder(async (folder) => {
      compileFragment(folder);
      const flags = (): string =>
        readFileSync(path.join(folder, `build/CMakeFiles/${target}.dir/flags.make`), "utf8");
      // The second time, what CMake picked the first time lies in its cache.
      for (const _time of [1, 2]) {
        const { status, output } = configure(folder, head, lines);
        expect(status, output).toBe(0);
        expect(flags()).toMatch(/sm_80/);
        expect(flags()).not.toMatch(/sm_(?!80)/);
      }
    });
  });

  test.each(ways)("keeps its own with %s", async (_way, head, lines, target) => {
    await withFolder(async (folder) => {
      compileFragment(folder);
      const own = `set(CMAKE_CUDA_ARCHITECTURES 86 90a)\n${head}`;
      const { status, output } = configure(folder, own, lines);
      expect(status, output).toBe(0);
      const flags = readFileSync(path.join(folder, `build/CMakeFiles/${target}.dir/flags.make`), "utf8");
      expect(flags).toContain("sm_86");
      expect(flags).toContain("sm_90a");
    });
  });

  test.each(ways)("keeps what CUDAARCHS asks for with %s", async (_way, head, lines, target) => {
    await withFolder(async (folder) => {
      compileFragment(folder);
      // Later runs of CMake, those that builds start among them, need not have the variable.
      for (const asked of ["86;90", ""]) {
        vi.stubEnv("CUDAARCHS", asked);
        const { status, output } = configure(folder, head, lines);
        vi.unstubAllEnvs();
        expect(status, output).toBe(0);
        const flags = readFileSync(path.join(folder, `build/CMakeFiles/${target}.dir/flags.make`), "utf8");
        expect(flags).toContain("sm_86");
        expect(flags).toContain("sm_90");
      }
    });
  });

  test.each(
    ways.flatMap((way) => [
      ["set", `set(CMAKE_CUDA_ARCHITECTURES 75)\n${way[1]}`, way[2], []] as const,
      ["-D", way[1], way[2], ["-DCMAKE_CUDA_ARCHITECTURES=75-real"]] as const,
      ["all", way[1], way[2], ["-DCMAKE_CUDA_ARCHITECTURES=all"]] as const,
    ]),
  )("is told where %s asks for one too old: %#", async (_how, head, lines, options) => {
    await withFolder(async (folder) => {
      compileFragment(folder);
      const { status, output } = configure(folder, head, lines, options);
      expect(status).not.toBe(0);
      expect(output).toMatch(/need\s+sm_80\s+or\s+newer[\s\S]*set\(CMAKE_CUDA_ARCHITECTURES\s+80\)/);
    });
  });

  test("may include the emitted fragment in several of its parts, but not another of the same name", async () => {
    await withFolder(async (folder) => {
      compileFragment(folder);
      const twice =
        // biome-ignore lint/suspicious/noTemplateCurlyInString: it is CMake's.
        "include(made/second.cmake)\ninclude(${CMAKE_CURRENT_SOURCE_DIR}/made/../made/second.cmake)";
      const { status, output } = configure(folder, LANGUAGES, twice);
      expect(status, output).toBe(0);
      cpSync(path.join(folder, "made"), path.join(folder, "other"), { recursive: true });
      const other = configure(folder, LANGUAGES, "include(made/second.cmake)\ninclude(other/second.cmake)");
      expect(other.status).not.toBe(0);
      expect(other.output).toContain("already exists");
    });
  });

  test("and nvcc says so in one line where nothing else did", async () => {
    await withFolder(async (folder) => {
      compileFragment(folder);
      const options = ["-arch=sm_75", "-c", "made/second.cu", "-o", "second.o"];
      const { status, stderr } = spawnSync("nvcc", options, { cwd: folder, encoding: "utf8" });
      expect(status).not.toBe(0);
      expect(stderr).toContain("mtac's kernels need sm_80 or newer");
      expect(stderr.trim().split("\n").length).toBeLessThan(5);
    });
  });
});
