import { defineConfig } from "vitest/config";

const golden = "test/golden/**/*.test.ts";
const numeric = ["test/numeric/**/*.test.ts", "test/vectors/**/*.test.ts", "test/property/**/*.test.ts"];
const packed = "test/package/**/*.test.ts";
const cuda = ["test/cuda/**/*.test.ts", "test/cuda-runtime/**/*.test.ts", "test/toolchain/**/*.test.ts"];
const cpu = "test/cpu/**/*.test.ts";
const sanitize = "test/sanitize/**/*.test.ts";
const peers = "test/bench-peers/**/*.test.ts";
const docs = "test/docs/**/*.test.ts";
const everything = "test/**/*.test.ts";

/** Golden tests compare emitted text, numeric ones run kernels, cuda ones compile and emulate CUDA kernels, cpu ones run
 * the C library, as machine code and as WebAssembly, packed
 * ones install the package, peers ones compare with other implementations; the rest are unit tests. */
export default defineConfig({
  test: {
    pool: "forks",
    maxWorkers: 2,
    setupFiles: ["test/support/fast-check.ts"],
    projects: [
      // Runs the pages of the documentation, over what is built.
      { extends: true, test: { name: "docs", include: [docs], maxConcurrency: 2, testTimeout: 300_000 } },
      {
        extends: true,
        test: {
          name: "unit",
          include: [everything],
          exclude: [golden, packed, peers, docs, cpu, sanitize, ...cuda, ...numeric],
          testTimeout: 60_000,
        },
      },
      { extends: true, test: { name: "golden", include: [golden], testTimeout: 60_000 } },
      {
        extends: true,
        test: { name: "numeric", include: numeric, testTimeout: 300_000, hookTimeout: 120_000 },
      },
      // Compiles the C library where there is a compiler, and takes the prebuilt modules everywhere.
      { extends: true, test: { name: "cpu", include: [cpu], testTimeout: 120_000, hookTimeout: 120_000 } },
      // Needs a C compiler with sanitizers; minutes, as each call is a process.
      {
        extends: true,
        test: { name: "sanitize", include: [sanitize], testTimeout: 300_000, hookTimeout: 120_000 },
      },
      // Needs nvcc and a C compiler: kernels on the emulated device, the runtime on stand-ins for NVIDIA's libraries.
      { extends: true, test: { name: "cuda", include: cuda, testTimeout: 300_000, hookTimeout: 120_000 } },
      // Needs other implementations of attention, none of which mtac depends on: see .ci/run.
      { extends: true, test: { name: "peers", include: [peers], testTimeout: 120_000 } },
      {
        extends: true,
        test: { name: "package", include: [packed], testTimeout: 300_000, hookTimeout: 300_000 },
      },
    ],
  },
});
