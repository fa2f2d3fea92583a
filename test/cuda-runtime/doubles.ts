import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import koffi from "koffi";
import { afterAll } from "vitest";
import { LAUNCH_FIELDS } from "../../runtime/contract/launch-fields.ts";

/** A folder that is removed after the file's tests. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "mtac-cuda-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Compiles one of the stand-ins for NVIDIA's libraries; they are C, so these tests need a C compiler. */
function compileDouble(name: string): string {
  const folder = temporaryFolder();
  const types = { u32: "unsigned", i32: "int", f32: "float" } as const;
  const fields = LAUNCH_FIELDS.map(([field, type]) => `  ${types[type]} ${field};`).join("\n");
  writeFileSync(join(folder, "launch.h"), `struct Launch {\n${fields}\n};\n`);
  const source = fileURLToPath(new URL(`${name}.c`, import.meta.url));
  const library = join(folder, `lib${name}.so`);
  const { CC = "cc" } = process.env;
  try {
    execFileSync(CC, [
      "-std=gnu11",
      "-Wall",
      "-Werror",
      "-O1",
      "-fPIC",
      "-shared",
      `-I${folder}`,
      "-o",
      library,
      source,
    ]);
  } catch (cause) {
    throw new Error(
      `the tests of the CUDA driver need a C compiler (CC, else cc): ${name}.c was not compiled`,
      {
        cause,
      },
    );
  }
  return library;
}

/** The stand-in for libcuda, and how tests ask and order it. */
export interface DriverDouble {
  readonly path: string;
  reset(): void;
  /** The nth call of the function from now on returns the CUresult. */
  fail(name: string, nth: number, result: number): void;
  /** Bytes of device memory. */
  limitMemory(bytes: number): void;
  /** Live objects and retained contexts. */
  leaks(): number;
  /** The calls, in order, and a line for each launch. */
  log(): string[];
  violations(): string[];
  /** From now on modules, attributes and launches with their arguments are written to a file, a line each; an empty path ends it. */
  record(file: string): void;
  /** As another library on this thread might. */
  forgetContext(): void;
}

export function driverDouble(): DriverDouble {
  const path = compileDouble("driver-double");
  const library = koffi.load(path);
  const text = (which: number): string[] => {
    const out = Buffer.alloc(2 ** 20);
    library.func("double_text", "int", ["int", "void *", "int"])(which, out, out.length);
    return out
      .toString("utf8", 0, out.indexOf(0))
      .split("\n")
      .filter((line) => line !== "");
  };
  return {
    path,
    reset: library.func("double_reset", "int", []),
    fail: library.func("double_fail", "int", ["str", "int", "int"]),
    limitMemory: library.func("double_memory", "int", ["uint64"]),
    leaks: library.func("double_leaks", "int", []),
    record: library.func("double_record", "int", ["str"]),
    forgetContext: library.func("double_forget_context", "int", []),
    log: () => text(0),
    violations: () => text(1),
  };
}

export interface NvrtcDouble {
  readonly path: string;
  /** Programs that nobody destroyed. */
  programs(): number;
}

export function nvrtcDouble(): NvrtcDouble {
  const path = compileDouble("nvrtc-double");
  return { path, programs: koffi.load(path).func("double_programs", "int", []) };
}
