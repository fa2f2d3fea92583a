import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { defineConfig } from "vitest/config";
import { LongestFirst } from "./test/support/longest-first.ts";

const golden = "test/golden/**/*.test.ts";
const numeric = ["test/numeric/**/*.test.ts", "test/vectors/**/*.test.ts", "test/property/**/*.test.ts"];
const packed = "test/package/**/*.test.ts";
const cuda = ["test/cuda/**/*.test.ts", "test/cuda-runtime/**/*.test.ts", "test/toolchain/**/*.test.ts"];
const cpu = "test/cpu/**/*.test.ts";
const sanitize = "test/sanitize/**/*.test.ts";
const peers = "test/bench-peers/**/*.test.ts";
const python = "test/python/**/*.test.ts";
const docs = "test/docs/**/*.test.ts";
const everything = "test/**/*.test.ts";
const special = [golden, packed, peers, python, docs, sanitize, ...cuda, ...numeric];

/** Files that replace modules, globals or methods: they may meet nothing that was loaded before, and leave nothing behind. */
const replacing = readdirSync(join(import.meta.dirname, "test"), { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".test.ts"))
  .map((file) => `test/${file.replaceAll("\\", "/")}`)
  .filter((file) =>
    /\bvi\.(?:mock|doMock|hoisted|stubGlobal|stubEnv|spyOn|resetModules)\(/.test(
      readFileSync(join(import.meta.dirname, file), "utf8"),
    ),
  );

/** Golden tests compare emitted text, numeric ones run kernels, cuda ones compile and emulate CUDA kernels, cpu ones run
 * the C library, as machine code and as WebAssembly, packed
 * ones install the package, peers ones compare with other implementations, python ones train in PyTorch; the rest are unit tests. Files of `unit` and `cpu` share
 * their worker's modules, which take longer to load than most files to run; those of `alone` do not. */
export default defineConfig({
  test: {
    pool: "forks",
    maxWorkers: 2,
    sequence: { sequencer: LongestFirst },
    setupFiles: ["test/support/fast-check.ts"],
    projects: [
      // Runs the pages of the documentation, over what is built.
      { extends: true, test: { name: "docs", include: [docs], maxConcurrency: 2, testTimeout: 300_000 } },
      {
        extends: true,
        test: {
          name: "unit",
          isolate: false,
          include: [everything],
          exclude: [cpu, ...special, ...replacing],
          testTimeout: 60_000,
        },
      },
      {
        extends: true,
        test: {
          name: "alone",
          include: replacing,
          exclude: special,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      { extends: true, test: { name: "golden", include: [golden], testTimeout: 60_000 } },
      {
        extends: true,
        test: { name: "numeric", include: numeric, testTimeout: 300_000, hookTimeout: 120_000 },
      },
      // Compiles the C library where there is a compiler, and takes the prebuilt modules everywhere.
      {
        extends: true,
        test: {
          name: "cpu",
          isolate: false,
          include: [cpu],
          exclude: replacing,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      // Needs a C compiler with sanitizers; minutes, as each call is a process.
      {
        extends: true,
        test: { name: "sanitize", include: [sanitize], testTimeout: 300_000, hookTimeout: 120_000 },
      },
      // Needs nvcc and a C compiler: kernels on the emulated device, the runtime on stand-ins for NVIDIA's libraries.
      { extends: true, test: { name: "cuda", include: cuda, testTimeout: 300_000, hookTimeout: 120_000 } },
      // Needs other implementations of attention, none of which mtac depends on: see .ci/run.
      { extends: true, test: { name: "peers", include: [peers], testTimeout: 120_000 } },
      // Needs a Python with PyTorch, and tools that check Python: see .ci/run.
      {
        extends: true,
        test: { name: "python", include: [python], testTimeout: 600_000, hookTimeout: 120_000 },
      },
      {
        extends: true,
        test: { name: "package", include: [packed], testTimeout: 300_000, hookTimeout: 300_000 },
      },
    ],
  },
});
