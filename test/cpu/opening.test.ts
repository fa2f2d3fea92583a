import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { allocate, createCpuLauncher, download, openCpu } from "../../runtime/cpu/index.ts";
import { compileLibrary, findCompiler } from "../../runtime/cpu/native/compiler.ts";
import { presentCpus } from "./harness.ts";
import { TINY_WEIGHT, tinyArtifact, tinyInputs } from "./tiny.ts";

const present = await presentCpus();
const hasCompiler = present.includes("native");

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "mtac-cpu-"));
  vi.stubEnv("XDG_CACHE_HOME", folder);
});
afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

const refused = (attempted: Promise<unknown>, code: string, message: RegExp): Promise<void> =>
  expect(attempted).rejects.toMatchObject({
    code,
    message: expect.stringMatching(message),
    remedy: expect.stringMatching(/./),
  });

/** A program that calls itself a compiler. */
function compilerThat(says: string, status: number): string {
  const file = path.join(folder, "compiler");
  const version = `if [ "$1" = --version ]; then echo "pretender 1.0"; exit 0; fi`;
  writeFileSync(file, `#!/bin/sh\n${version}\necho "${says}" >&2\nexit ${status}\n`);
  chmodSync(file, 0o755);
  return file;
}

/** Files that are left where libraries are kept. */
function kept(): string[] {
  try {
    return readdirSync(path.join(folder, "mtac", "cpu"));
  } catch {
    return [];
  }
}

describe("machine code", () => {
  test("there is no compiler: WebAssembly is taken, unless machine code is asked for", async () => {
    vi.stubEnv("CC", "");
    vi.stubEnv("PATH", "");
    await refused(openCpu({ library: "native" }), "MTA880", /neither \$CC nor cc/);
    const device = await openCpu();
    expect(device.library.kind).toBe("wasm");
    await device.close();
  });

  test("koffi is not there", async () => {
    vi.resetModules();
    vi.doMock("koffi", () => {
      throw Object.assign(new Error("Cannot find package 'koffi'"), { code: "ERR_MODULE_NOT_FOUND" });
    });
    const { openCpu: openAnew } = await import("../../runtime/cpu/index.ts");
    await refused(openAnew({ library: "native" }), "MTA881", /koffi/);
    const device = await openAnew();
    expect(device.library.kind).toBe("wasm");
    await device.close();
    vi.doUnmock("koffi");
    vi.resetModules();
  });

  test("the compiler fails: what it said is shown, and nothing is left", async () => {
    vi.stubEnv("CC", compilerThat("vector.h:7: error: what is a vector?", 1));
    await refused(openCpu({ library: "native" }), "MTA883", /what is a vector\?/);
    expect(kept()).toEqual([]);
  });

  test("what CC names is no compiler: the others are tried", async () => {
    vi.stubEnv("CC", path.join(folder, "nothing"));
    vi.stubEnv("PATH", "");
    await refused(openCpu({ library: "native" }), "MTA880", /no C compiler/);
  });

  test("the cache's folder is a file", async () => {
    vi.stubEnv("CC", compilerThat("", 1));
    writeFileSync(path.join(folder, "mtac"), "");
    await refused(openCpu({ library: "native" }), "MTA882", /mtac/);
    expect(readFileSync(path.join(folder, "mtac"), "utf8")).toBe("");
  });

  test("the compiler cannot write there", async () => {
    vi.stubEnv("CC", compilerThat("ld: cannot open output file: No space left on device", 1));
    await refused(openCpu({ library: "native" }), "MTA882", /cannot be written/);
    expect(kept()).toEqual([]);
  });

  describe.skipIf(!hasCompiler)("a library in the cache", () => {
    /** Puts one there, and gives its place: compiled, and changed. */
    async function place(change: (library: Buffer, name: string) => readonly [Uint8Array, string]) {
      const compiler = await findCompiler();
      if (compiler === null) throw new Error("there is no compiler");
      const file = await compileLibrary(compiler, "native.c", { folder: path.join(folder, "own") });
      expect(readdirSync(path.dirname(file))).toEqual([path.basename(file)]);
      const [content, name] = change(readFileSync(file), path.basename(file));
      const cache = path.join(folder, "mtac", "cpu");
      mkdirSync(cache, { recursive: true });
      writeFileSync(path.join(cache, name), content);
      return cache;
    }

    test("that cannot be loaded", async () => {
      const content = Buffer.from("no library");
      const digest = createHash("sha256").update(content).digest("hex").slice(0, 16);
      await place((_library, name) => [content, name.replace(/-\w+/, `-${digest}`)]);
      await refused(openCpu({ library: "native" }), "MTA884", /no library|invalid|file too short|mtac/);
      const device = await openCpu();
      expect(device.library.kind).toBe("wasm");
      await device.close();
    });

    test("that was cut short is compiled anew", async () => {
      // Its header is there: a loader maps pages that the file does not have.
      const cache = await place((library, name) => [library.subarray(0, library.length / 2), name]);
      const device = await openCpu({ library: "native" });
      expect(device.library.kind).toBe("native");
      await device.close();
      expect(readdirSync(cache)).toHaveLength(1);
    });
  });
});

describe("WebAssembly", () => {
  test("without SIMD", async () => {
    vi.spyOn(WebAssembly, "validate").mockReturnValue(false);
    await refused(openCpu({ library: "wasm" }), "MTA885", /SIMD/);
  });

  test("without relaxed SIMD: the plain module is taken", async () => {
    const validate = WebAssembly.validate;
    const asked: unknown[] = [];
    vi.spyOn(WebAssembly, "validate").mockImplementation((bytes) => {
      asked.push(bytes);
      return asked.length > 1 && validate(bytes);
    });
    const device = await openCpu({ library: "wasm" });
    expect(device.description).toContain("WebAssembly with SIMD");
    await device.close();
  });
});

describe.each(present.filter((name) => name === "native" || name === "plain"))("memory, %s", (name) => {
  test("that there is not, and a call after that", async () => {
    vi.unstubAllEnvs();
    const device = await openCpu({ library: name === "native" ? "native" : "wasm", threads: 2 });
    const attempt = async (): Promise<unknown> => allocate(device, [2 ** 46], "f32");
    await refused(attempt(), "MTA888", /memory/);
    const launcher = await createCpuLauncher(device, tinyArtifact(), TINY_WEIGHT);
    const { o } = await launcher.forward(tinyInputs(device, { B: 1, Lq: 4, Lk: 4 }));
    expect((await download(device, o)).every(Number.isFinite)).toBe(true);
    await device.close();
  });
});
