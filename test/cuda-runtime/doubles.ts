import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import koffi from "koffi";
import { afterAll } from "vitest";
import { compileDouble } from "./compile-double.ts";

/** A folder that is removed after the file's tests. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "mtac-cuda-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
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
  const path = compileDouble("driver-double", temporaryFolder());
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
  const path = compileDouble("nvrtc-double", temporaryFolder());
  return { path, programs: koffi.load(path).func("double_programs", "int", []) };
}
