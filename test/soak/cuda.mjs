// `npm run soak:cuda [-- FACTOR]`: the CUDA tests with every official vector, every example on every architecture and FACTOR times
// (default 10) as many random attentions. Needs nvcc; takes hours rather than minutes. MTAC_SEED repeats a run.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const factor = process.argv[2] ?? "10";
const { status } = spawnSync(
  process.execPath,
  [fileURLToPath(new URL("../run.mjs", import.meta.url)), "cuda"],
  {
    stdio: "inherit",
    env: { ...process.env, MTAC_ALL_VECTORS: "1", MTAC_CUDA_FULL: "1", MTAC_RUNS: factor },
  },
);
process.exitCode = status ?? 1;
