// `npm run soak:gradients [-- RUNS [TARGET …]]`: gradients of at least RUNS random attentions (default 1000) on each target, cpu and cuda on
// whatever of them is here, against the float64 reference. The seed is printed; MTAC_SEED repeats a run.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { GRADIENT_RUNS } from "../support/gradient-runs.ts";
import { SEED } from "../support/seed.ts";

const [runs = "1000", ...asked] = process.argv.slice(2);
const targets = Object.entries(GRADIENT_RUNS).filter(([name]) => asked.length === 0 || asked.includes(name));
const most = Number(runs);
if (!Number.isSafeInteger(most) || most < 1 || targets.length < Math.max(1, asked.length)) {
  console.error(`usage: npm run soak:gradients [-- RUNS [${Object.keys(GRADIENT_RUNS).join("|")} …]]`);
  process.exit(2);
}

const root = fileURLToPath(new URL("../..", import.meta.url));
const vitest = fileURLToPath(new URL("../../node_modules/vitest/vitest.mjs", import.meta.url));
let failed = false;
for (const [name, { project, file, runs: usual }] of targets) {
  const factor = Math.ceil(most / usual);
  console.log(`\n== ${name}: ${factor * usual} attentions, seed ${SEED}`);
  const { status } = spawnSync(
    process.execPath,
    [vitest, "run", "--project", project, file, "-t", "random attentions"],
    {
      cwd: root,
      stdio: "inherit",
      env: { ...process.env, MTAC_RUNS: String(factor), MTAC_SEED: String(SEED) },
    },
  );
  failed ||= status !== 0;
}
process.exitCode = failed ? 1 : 0;
