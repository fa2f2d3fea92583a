import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

/** This checkout as the package that `find_package` finds: what its CMake file runs is dist/cli/main.js. */
export const PACKAGE = fileURLToPath(new URL("../../", import.meta.url));

export const hasCmake = spawnSync("cmake", ["--version"]).status === 0;

/** What stands before a project's own lines. */
export function findMtac(...components: readonly string[]): string {
  const named = components.length === 0 ? "" : ` COMPONENTS ${components.join(" ")}`;
  return `find_package(mtac REQUIRED${named} PATHS "${path.join(PACKAGE, "templates/cmake")}" NO_DEFAULT_PATH)`;
}

export interface CmakeRun {
  readonly status: number | null;
  readonly output: string;
}

export function runCmake(folder: string, options: readonly string[]): CmakeRun {
  const { status, stdout, stderr } = spawnSync("cmake", options, { cwd: folder, encoding: "utf8" });
  return { status, output: stdout + stderr };
}

/** Two attentions, for projects of `configure`. */
export const SPEC = `attention first { heads 2 head_dim 32 dtype f16 mask causal scores { conv 3x5 } }
attention second { heads 2 head_dim 16 mask causal }
`;

/** Writes a project whose list file has these lines, with specs that it may compile, and configures it in the folder `build`. */
export function configure(
  folder: string,
  head: string,
  lines: string,
  options: readonly string[] = [],
): CmakeRun {
  writeFileSync(path.join(folder, "specs.mta"), SPEC);
  writeFileSync(path.join(folder, "copy.mta"), SPEC);
  writeFileSync(path.join(folder, "broken.mta"), "attention broken { heads 0 }\n");
  writeFileSync(
    path.join(folder, "CMakeLists.txt"),
    `cmake_minimum_required(VERSION 3.24)\n${head}\n${lines}\n`,
  );
  return runCmake(folder, ["-B", "build", ...options]);
}
